//! Times as devices write them, and as Observations need them.

use std::fmt::Write;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::Offset,
};

/// Reads a time as .NET does with the invariant culture, in the forms that devices use: ISO 8601 with or without time,
/// fraction and offset (a space for `T` is fine), `MM/dd/yyyy HH:mm:ss`, and RFC 1123. Without an offset it is UTC.
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    iso(text)
        .or_else(|| american(text))
        .or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
}

/// Whether Newtonsoft.Json reads the text as a date: ISO 8601 with `T` and seconds.
pub fn is_date_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 19 && bytes[4] == b'-' && bytes[10] == b'T' && iso(text).is_some()
}

/// `yyyyMMddHHmmssZ`, with milliseconds if asked for: a part of an Observation's identifier.
pub fn segment(time: Timestamp, milliseconds: bool) -> String {
    let civil = Offset::UTC.to_datetime(time);
    let (date, clock) = (civil.date(), civil.time());
    let mut text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        date.year(),
        date.month(),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    );
    if milliseconds {
        // Writing to a text can't fail.
        let _ = write!(text, "{:03}", clock.millisecond());
    }
    text.push('Z');
    text
}

/// `MM/dd/yyyy HH:mm:ss`: what iomt-fhir makes of a value that looks like a date.
pub fn american_text(time: Timestamp) -> String {
    let civil = Offset::UTC.to_datetime(time);
    let (date, clock) = (civil.date(), civil.time());
    format!(
        "{:02}/{:02}/{:04} {:02}:{:02}:{:02}",
        date.month(),
        date.day(),
        date.year(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

fn iso(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = iso_date(date)?;
    if rest.is_empty() {
        return at(DateTime::from_parts(date, Time::midnight()), Offset::UTC);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone);
    at(
        DateTime::from_parts(date, clock_time(clock.trim_end())?),
        offset(zone.trim())?,
    )
}

fn iso_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let date = Date::new(number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?).ok()?;
    parts.next().is_none().then_some(date)
}

fn american(text: &str) -> Option<Timestamp> {
    let (date, clock) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let mut parts = date.split('/');
    let (month, day, year) = (
        number(parts.next()?)?,
        number(parts.next()?)?,
        number::<i16>(parts.next()?)?,
    );
    if parts.next().is_some() || year < 100 {
        return None;
    }
    let (clock, half) = match clock.rsplit_once(' ') {
        Some((clock, half)) => (clock, Some(half.to_ascii_uppercase())),
        None => (clock, None),
    };
    let time = clock_time(clock)?;
    let time = match half.as_deref() {
        None => time,
        Some("AM") if (1..=12).contains(&time.hour()) => time.with().hour(time.hour() % 12).build().ok()?,
        Some("PM") if (1..=12).contains(&time.hour()) => time.with().hour(time.hour() % 12 + 12).build().ok()?,
        Some(_) => return None,
    };
    at(
        DateTime::from_parts(Date::new(year, month, day).ok()?, time),
        Offset::UTC,
    )
}

/// `HH:mm`, `HH:mm:ss` or `HH:mm:ss.fffffff`.
fn clock_time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let (second, fraction) = match parts.next() {
        None => (0, ""),
        Some(second) => {
            let (second, fraction) = second.split_once(['.', ',']).unwrap_or((second, ""));
            (number(second)?, fraction)
        }
    };
    if parts.next().is_some() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // .NET counts in 100 ns; what is finer is cut off.
    let digits: String = fraction.chars().chain("0000000".chars()).take(7).collect();
    Time::new(hour, minute, second, digits.parse::<i32>().ok()? * 100).ok()
}

fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.chars().next() {
        None => return Some(Offset::UTC),
        Some('Z' | 'z') => return (text.len() == 1).then_some(Offset::UTC),
        Some('-') => (-1, &text[1..]),
        Some(_) => (1, &text[1..]),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None => digits.split_at_checked(2)?,
    };
    let minutes: i32 = if minutes.is_empty() { 0 } else { number(minutes)? };
    let hours: i32 = number(hours)?;
    (hours <= 14 && minutes < 60).then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok())?
}

fn at(civil: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(civil).ok()
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2019-01-30T22:45:02.6073744Z", "2019-01-30T22:45:02.6073744Z")]
    #[case("2023-10-09T19:18:23+02:00", "2023-10-09T17:18:23Z")]
    #[case("2023-10-09T19:18:23-0730", "2023-10-10T02:48:23Z")]
    #[case("2023-10-09T19:18:23", "2023-10-09T19:18:23Z")]
    #[case("2023-10-09 19:18", "2023-10-09T19:18:00Z")]
    #[case("2023-10-09", "2023-10-09T00:00:00Z")]
    #[case("10/09/2023 19:18:23", "2023-10-09T19:18:23Z")]
    #[case("10/9/2023 7:18:23 PM", "2023-10-09T19:18:23Z")]
    #[case("Mon, 09 Oct 2023 19:18:23 GMT", "2023-10-09T19:18:23Z")]
    fn times_are_read(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(parse(text).unwrap().to_string(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("yesterday")]
    #[case("2023-13-01")]
    #[case("2023-10-09T25:00:00Z")]
    #[case("2023-10-09T10:00:00Zx")]
    #[case("1700000000")]
    fn what_is_no_time_is_refused(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }

    #[test]
    fn segments_are_those_of_iomt_fhir() {
        let time = parse("2019-01-01T00:59:59.9999999Z").unwrap();
        assert_eq!(segment(time, false), "20190101005959Z");
        assert_eq!(segment(time, true), "20190101005959999Z");
    }
}
