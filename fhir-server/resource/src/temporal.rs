//! FHIR's dates, dateTimes, instants and times: checked by hand, with the microseconds that they span.
//!
//! A time without an offset is taken as UTC (Microsoft's rule for search).

use crate::Micros;

const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;

/// How exactly a moment was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// `2015`
    Year,
    /// `2015-02`
    Month,
    /// `2015-02-07`
    Day,
    /// `2015-02-07T13:28`, in searches only.
    Minute,
    /// `2015-02-07T13:28:17`
    Second,
    /// With digits after the second: one moment, however many digits.
    Fraction,
}

/// What a date, dateTime or instant says: the microseconds from `start` to `end`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The first microsecond.
    pub start: Micros,
    /// The last microsecond.
    pub end: Micros,
    /// How exactly it was written.
    pub precision: Precision,
    /// Whether an offset or `Z` was written.
    pub zoned: bool,
}

/// Reads a FHIR date, dateTime or instant, and what searches allow beyond (no seconds, no offset).
pub fn parse(text: &str) -> Option<Moment> {
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
    };
    let year = reader.number(4)?;
    if year == 0 {
        return None;
    }
    if reader.done() {
        return Some(span(
            days(year, 1, 1) * DAY,
            days(year + 1, 1, 1) * DAY,
            Precision::Year,
        ));
    }
    reader.byte(b'-')?;
    let month = reader.number(2).filter(|month| (1..=12).contains(month))?;
    if reader.done() {
        let (after_year, after_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        return Some(span(
            days(year, month, 1) * DAY,
            days(after_year, after_month, 1) * DAY,
            Precision::Month,
        ));
    }
    reader.byte(b'-')?;
    let day = reader
        .number(2)
        .filter(|day| (1..=days_in(year, month)).contains(day))?;
    let midnight = days(year, month, day) * DAY;
    if reader.done() {
        return Some(span(midnight, midnight + DAY, Precision::Day));
    }
    reader.byte(b'T')?;
    let (time, length, precision) = reader.time()?;
    let (offset, zoned) = reader.offset()?;
    if !reader.done() {
        return None;
    }
    let start = midnight + time - offset;
    Some(Moment {
        start,
        end: start + length - 1,
        precision,
        zoned,
    })
}

fn span(start: Micros, after: Micros, precision: Precision) -> Moment {
    Moment {
        start,
        end: after - 1,
        precision,
        zoned: false,
    }
}

/// FHIR `date`: a year, a month or a day.
pub fn is_date(text: &str) -> bool {
    parse(text).is_some_and(|moment| moment.precision <= Precision::Day)
}

/// FHIR `dateTime`: a date, or a time to the second with its offset.
pub fn is_date_time(text: &str) -> bool {
    parse(text).is_some_and(|moment| {
        moment.precision <= Precision::Day || (moment.precision >= Precision::Second && moment.zoned)
    })
}

/// FHIR `instant`: to the second at least, with its offset.
pub fn is_instant(text: &str) -> bool {
    parse(text).is_some_and(|moment| moment.precision >= Precision::Second && moment.zoned)
}

/// FHIR `time`: `13:28:17`, with digits after the second if wanted and without an offset.
pub fn is_time(text: &str) -> bool {
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
    };
    matches!(reader.time(), Some((_, _, precision)) if precision >= Precision::Second) && reader.done()
}

/// Appends `micros` as an instant in UTC with six digits after the second.
pub fn write_instant(micros: Micros, out: &mut Vec<u8>) {
    let (day, time) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, date) = civil(day);
    let seconds = time / SECOND;
    for (value, width, after) in [
        (year.clamp(0, 9999), 4, b'-'),
        (month, 2, b'-'),
        (date, 2, b'T'),
        (seconds / 3600, 2, b':'),
        (seconds / 60 % 60, 2, b':'),
        (seconds % 60, 2, b'.'),
        (time % SECOND, 6, b'Z'),
    ] {
        let mut divisor = 10_i64.pow(width - 1);
        while divisor > 0 {
            out.push(digit(value / divisor));
            divisor /= 10;
        }
        out.push(after);
    }
}

/// `micros` as an instant in UTC with six digits after the second.
pub fn instant(micros: Micros) -> String {
    let mut out = Vec::with_capacity(27);
    write_instant(micros, &mut out);
    out.into_iter().map(char::from).collect()
}

/// The last decimal digit of a number, as ASCII.
pub(crate) fn digit(number: i64) -> u8 {
    b'0' + u8::try_from(number.rem_euclid(10)).unwrap_or_default()
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn done(&self) -> bool {
        self.at == self.text.len()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        (self.peek() == Some(wanted)).then(|| self.at += 1)
    }

    fn number(&mut self, width: usize) -> Option<i64> {
        let digits = self.text.get(self.at..self.at + width)?;
        self.at += width;
        digits.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    }

    /// Microseconds since midnight, how many microseconds were meant, and how exactly.
    fn time(&mut self) -> Option<(i64, i64, Precision)> {
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        self.byte(b':')?;
        let minute = self.number(2).filter(|minute| *minute < 60)?;
        let minutes = (hour * 60 + minute) * 60 * SECOND;
        if self.byte(b':').is_none() {
            return Some((minutes, 60 * SECOND, Precision::Minute));
        }
        // 60 is a leap second.
        let second = self.number(2).filter(|second| *second <= 60)?;
        let seconds = minutes + second * SECOND;
        if self.byte(b'.').is_none() {
            return Some((seconds, SECOND, Precision::Second));
        }
        // Digits after the second name a moment, as Microsoft's server reads them: what is below a microsecond is dropped.
        let (mut micros, mut unit, first) = (0, SECOND, self.at);
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            self.at += 1;
            unit /= 10;
            micros += i64::from(digit - b'0') * unit;
        }
        (self.at > first).then_some((seconds + micros, 1, Precision::Fraction))
    }

    /// The offset in microseconds, and whether there was one.
    fn offset(&mut self) -> Option<(i64, bool)> {
        let sign = match self.peek() {
            None => return Some((0, false)),
            Some(b'Z') => {
                self.at += 1;
                return Some((0, true));
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.at += 1;
        let hours = self.number(2)?;
        self.byte(b':')?;
        let minutes = self.number(2).filter(|minutes| *minutes < 60)?;
        let offset = hours * 60 + minutes;
        (offset <= 14 * 60).then_some((sign * offset * 60 * SECOND, true))
    }
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(crate) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant, `days_from_civil`).
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of the day `number` since 1970-01-01 (Hinnant, `civil_from_days`).
pub(crate) fn civil(number: i64) -> (i64, i64, i64) {
    let shifted = number + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2015", "2015-01-01T00:00:00.000000Z", "2015-12-31T23:59:59.999999Z")]
    #[case("2016-02", "2016-02-01T00:00:00.000000Z", "2016-02-29T23:59:59.999999Z")]
    #[case("1969-12-31", "1969-12-31T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z")]
    #[case("2015-02-07T13:28", "2015-02-07T13:28:00.000000Z", "2015-02-07T13:28:59.999999Z")]
    #[case(
        "2015-02-07T13:28:17-05:00",
        "2015-02-07T18:28:17.000000Z",
        "2015-02-07T18:28:17.999999Z"
    )]
    #[case(
        "2015-02-07T13:28:17.5Z",
        "2015-02-07T13:28:17.500000Z",
        "2015-02-07T13:28:17.500000Z"
    )]
    #[case(
        "2015-02-07T13:28:17.1234567Z",
        "2015-02-07T13:28:17.123456Z",
        "2015-02-07T13:28:17.123456Z"
    )]
    fn spans(#[case] text: &str, #[case] start: &str, #[case] end: &str) {
        let moment = parse(text).expect(text);
        assert_eq!(
            (instant(moment.start).as_str(), instant(moment.end).as_str()),
            (start, end)
        );
    }

    #[rstest]
    #[case("")]
    #[case("0000")]
    #[case("15")]
    #[case("2015-13")]
    #[case("2015-02-29")]
    #[case("2015-2-9")]
    #[case("2021-10-13+02:00")]
    #[case("2015-02-07T24:00:00Z")]
    #[case("2015-02-07T13:28:17.Z")]
    #[case("2015-02-07T13:28:17+15:00")]
    #[case("2015-02-07 13:28:17Z")]
    #[case("２０１５")]
    fn refuses(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }

    #[test]
    fn date_times_have_an_offset_from_the_minute_on() {
        assert!(is_date_time("2015-02-07") && is_date_time("2015-02-07T13:28:17Z"));
        assert!(!is_date_time("2015-02-07T13:28:17") && !is_date_time("2015-02-07T13:28Z"));
        assert!(is_instant("2015-02-07T13:28:17.239+02:00") && !is_instant("2015-02-07"));
        assert!(is_time("13:28:17.5") && !is_time("13:28") && !is_time("13:28:17Z"));
    }
}
