//! Maintenance windows: local times in a time zone, from the time-zone database that is compiled in.

use fhir_operator_api::{Day, MaintenanceWindow};
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Span, Timestamp};
use thiserror::Error;

/// How long a window stays open if nothing is said, in minutes.
const DEFAULT_DURATION_MINUTES: u32 = 120;

/// A window that can't be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum WindowError {
    /// The zone isn't in the database.
    #[error("maintenanceWindow.timeZone `{0}` isn't an IANA time zone, for example `Europe/Paris`")]
    UnknownZone(String),
    /// Not a time of day.
    #[error("maintenanceWindow.start `{0}` isn't a time of day as `HH:MM`")]
    BadStart(String),
}

/// When managed updates may roll.
#[derive(Clone, Debug)]
pub struct Window {
    days: Vec<Weekday>,
    start: Time,
    duration: SignedDuration,
    zone: TimeZone,
}

impl TryFrom<&MaintenanceWindow> for Window {
    type Error = WindowError;

    fn try_from(window: &MaintenanceWindow) -> Result<Self, WindowError> {
        let name = window.time_zone.as_deref().unwrap_or("UTC");
        let zone = TimeZoneDatabase::bundled()
            .get(name)
            .map_err(|_| WindowError::UnknownZone(name.to_owned()))?;
        let start = Time::strptime("%H:%M", &window.start).map_err(|_| WindowError::BadStart(window.start.clone()))?;
        let minutes = window.duration_minutes.unwrap_or(DEFAULT_DURATION_MINUTES);
        Ok(Self {
            days: window.days.iter().copied().map(weekday).collect(),
            start,
            duration: SignedDuration::from_mins(i64::from(minutes)),
            zone,
        })
    }
}

impl Window {
    /// Whether managed updates may roll now.
    pub fn is_open(&self, now: Timestamp) -> bool {
        // A window lasts a day at most, so it opened today or yesterday.
        self.openings(now, -1..=0)
            .any(|opening| opening <= now && now < opening + self.duration)
    }

    /// When it opens next; `None` only at the end of time.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        self.openings(now, 0..=8).find(|opening| *opening > now)
    }

    fn openings(&self, now: Timestamp, days: std::ops::RangeInclusive<i64>) -> impl Iterator<Item = Timestamp> {
        let today = self.zone.to_datetime(now).date();
        days.filter_map(move |offset| self.opening(today.checked_add(Span::new().days(offset)).ok()?))
    }

    /// The instant at which it opens on a date. A start that a change to summer time skips is moved forward.
    fn opening(&self, date: Date) -> Option<Timestamp> {
        if !self.days.is_empty() && !self.days.contains(&date.weekday()) {
            return None;
        }
        self.zone
            .to_ambiguous_timestamp(date.to_datetime(self.start))
            .compatible()
            .ok()
    }
}

fn weekday(day: Day) -> Weekday {
    match day {
        Day::Monday => Weekday::Monday,
        Day::Tuesday => Weekday::Tuesday,
        Day::Wednesday => Weekday::Wednesday,
        Day::Thursday => Weekday::Thursday,
        Day::Friday => Weekday::Friday,
        Day::Saturday => Weekday::Saturday,
        Day::Sunday => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn window(days: &[Day], start: &str, minutes: u32, zone: &str) -> Window {
        Window::try_from(&MaintenanceWindow {
            days: days.to_vec(),
            start: start.to_owned(),
            duration_minutes: Some(minutes),
            time_zone: Some(zone.to_owned()),
        })
        .unwrap()
    }

    // 2026-03-29 is a Sunday, and the day on which Paris goes to summer time at 02:00.
    #[rstest]
    #[case::before(&[Day::Sunday], "02:00", 120, "UTC", "2026-03-29T01:59:59Z", false)]
    #[case::at_the_start(&[Day::Sunday], "02:00", 120, "UTC", "2026-03-29T02:00:00Z", true)]
    #[case::at_the_end(&[Day::Sunday], "02:00", 120, "UTC", "2026-03-29T04:00:00Z", false)]
    #[case::another_day(&[Day::Monday], "02:00", 120, "UTC", "2026-03-29T02:30:00Z", false)]
    #[case::every_day(&[], "02:00", 120, "UTC", "2026-03-31T02:30:00Z", true)]
    #[case::past_midnight(&[Day::Saturday], "23:00", 180, "UTC", "2026-03-29T01:30:00Z", true)]
    #[case::zone(&[Day::Sunday], "02:00", 60, "America/New_York", "2026-03-29T06:30:00Z", true)]
    #[case::skipped_hour(&[Day::Sunday], "02:30", 60, "Europe/Paris", "2026-03-29T01:31:00Z", true)]
    fn opens_by_local_time(
        #[case] days: &[Day],
        #[case] start: &str,
        #[case] minutes: u32,
        #[case] zone: &str,
        #[case] now: &str,
        #[case] open: bool,
    ) {
        assert_eq!(window(days, start, minutes, zone).is_open(now.parse().unwrap()), open);
    }

    #[test]
    fn next_opening_is_after_now() {
        let sunday = window(&[Day::Sunday], "02:00", 120, "UTC");
        let next = |now: &str| sunday.next_opening(now.parse().unwrap()).unwrap().to_string();
        assert_eq!(next("2026-03-29T01:00:00Z"), "2026-03-29T02:00:00Z");
        assert_eq!(next("2026-03-29T02:00:00Z"), "2026-04-05T02:00:00Z");
    }

    #[test]
    fn unknown_zones_are_refused() {
        let window = MaintenanceWindow {
            days: vec![],
            start: "02:00".to_owned(),
            duration_minutes: None,
            time_zone: Some("Mars/Olympus".to_owned()),
        };
        assert_eq!(
            Window::try_from(&window).unwrap_err(),
            WindowError::UnknownZone("Mars/Olympus".to_owned())
        );
    }
}
