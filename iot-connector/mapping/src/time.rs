//! Times as devices write them, and as Observations need them.

use std::fmt::Write;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::Offset,
};

/// Reads a time as .NET does with the invariant culture, in the forms that devices use: ISO 8601 with or without time,
/// fraction and offset (a space for `T` is fine), `MM/dd/yyyy`, `yyyy/MM/dd` (also with `-`) and dates with the month's
/// English name, each with or without a time (also with AM or PM) and offset, `yyyy-MM`, RFC 1123, and Microsoft's
/// `/Date(…)/`. Without an offset it is UTC.
pub fn parse(text: &str) -> Option<Timestamp> {
    if let Some(time) = usual(text) {
        return Some(time);
    }
    let text = text.trim();
    usual(text)
        .or_else(|| iso(text))
        .or_else(|| with_separators(text))
        .or_else(|| with_month_name(text))
        .or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
        .or_else(|| of_microsoft(text))
}

/// `/Date(1672628645000)/`: milliseconds; an offset behind them is for people.
fn of_microsoft(text: &str) -> Option<Timestamp> {
    let inside = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let end = inside
        .char_indices()
        .skip(1)
        .find(|(_, character)| matches!(character, '+' | '-'));
    let milliseconds = &inside[..end.map_or(inside.len(), |(at, _)| at)];
    Timestamp::from_millisecond(milliseconds.parse().ok()?).ok()
}

/// Whether Newtonsoft.Json reads the text as a date: ISO 8601 with `T` and seconds.
pub fn is_date_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((main, rest)) = bytes.split_first_chunk::<19>() else {
        return false;
    };
    if main[4] != b'-' || main[10] != b'T' {
        return false;
    }
    let zone = match rest.strip_prefix(b".") {
        None => rest,
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=7).contains(&digits) {
                return false;
            }
            &rest[digits..]
        }
    };
    matches!(zone.first(), None | Some(b'Z' | b'+' | b'-')) && iso(text).is_some()
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

/// `yyyy-MM-ddTHH:mm:ssZ` with or without up to seven digits of a fraction: what [`iso`] makes of it, in a tenth of the time.
fn usual(text: &str) -> Option<Timestamp> {
    let (main, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        mo1,
        mo2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        mi1,
        mi2,
        b':',
        s1,
        s2,
    ] = *main
    else {
        return None;
    };
    let fraction = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if (1..=7).contains(&digits.len()) => {
            let mut value = 0;
            for place in 0..9 {
                value = value * 10 + digits.get(place).map_or(Some(0), |byte| digit(*byte).map(i32::from))?;
            }
            value
        }
        _ => return None,
    };
    let year = i16::from(pair(y1, y2)?) * 100 + i16::from(pair(y3, y4)?);
    let civil = DateTime::new(
        year,
        pair(mo1, mo2)?,
        pair(d1, d2)?,
        pair(h1, h2)?,
        pair(mi1, mi2)?,
        pair(s1, s2)?,
        fraction,
    );
    at(civil.ok()?, Offset::UTC)
}

fn pair(tens: u8, ones: u8) -> Option<i8> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn digit(byte: u8) -> Option<i8> {
    byte.is_ascii_digit()
        .then(|| i8::try_from(byte - b'0').unwrap_or_default())
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
    if matches!(clock, "24:00" | "24:00:00") {
        // The end of a day is the beginning of the next.
        let next = date.tomorrow().ok()?;
        return at(DateTime::from_parts(next, Time::midnight()), offset(zone.trim())?);
    }
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

/// `M/d/yyyy`, `yyyy/M/d`, `M-d-yyyy`, `yyyy-M-d` or `yyyy-MM`.
fn with_separators(text: &str) -> Option<Timestamp> {
    let end = text.find([' ', 'T']).unwrap_or(text.len());
    let (date, clock) = text.split_at(end);
    let separator = if date.contains('/') { '/' } else { '-' };
    let mut parts = date.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next());
    let third = match third {
        None if first.len() == 4 && separator == '-' => "1",
        third => third?,
    };
    let (year, month, day) = match first.len() {
        4 => (first, second, third),
        _ => (third, first, second),
    };
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let date = Date::new(number(year)?, number(month)?, number(day)?).ok()?;
    on(date, clock.trim_start_matches([' ', 'T']))
}

/// `May 13, 2023 …` or `13 May 2023 …`, with or without the day of the week.
fn with_month_name(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let month_of = |word: &str| {
        let word = word.to_ascii_lowercase();
        let month = MONTHS.iter().position(|month| **month == word || month[..3] == word)?;
        i8::try_from(month + 1).ok()
    };
    let text = match text.split_once(", ") {
        Some((weekday, rest)) if weekday.bytes().all(|byte| byte.is_ascii_alphabetic()) => rest,
        _ => text,
    };
    // `2-Jan-2023` is the same with other separators.
    let end = text.find(' ').unwrap_or(text.len());
    let text = format!("{}{}", text[..end].replace('-', " "), &text[end..]);
    let mut words = text.splitn(4, ' ');
    let (first, second, year) = (words.next()?, words.next()?, words.next()?);
    let second = second.trim_end_matches(',');
    let (month, day) = match month_of(first) {
        Some(month) => (month, number(second)?),
        None => (month_of(second)?, number(first)?),
    };
    let year = Some(year.trim_end_matches(',')).filter(|year| year.len() == 4)?;
    on(
        Date::new(number(year)?, month, day).ok()?,
        words.next().unwrap_or_default(),
    )
}

/// A time of a day: a clock, AM or PM, an offset, of which each may be missing.
fn on(date: Date, text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.is_empty() {
        return at(DateTime::from_parts(date, Time::midnight()), Offset::UTC);
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !":.".contains(c))
        .unwrap_or(text.len());
    let (clock, rest) = text.split_at(end);
    let time = clock_time(clock)?;
    let rest = rest.trim_start();
    let half = rest.get(..2).unwrap_or_default().to_ascii_uppercase();
    let (time, zone) = match half.as_str() {
        "AM" | "PM" if (1..=12).contains(&time.hour()) => {
            let hour = time.hour() % 12 + if half == "PM" { 12 } else { 0 };
            (time.with().hour(hour).build().ok()?, rest[2..].trim_start())
        }
        _ => (time, rest),
    };
    let zone = if zone.eq_ignore_ascii_case("GMT") || zone.eq_ignore_ascii_case("UTC") {
        "Z"
    } else {
        zone
    };
    if zone.is_empty() || zone.starts_with(['Z', 'z', '+', '-']) {
        at(DateTime::from_parts(date, time), offset(zone)?)
    } else {
        None
    }
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
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    proptest! {
        #[test]
        fn the_usual_form_is_read_as_any_other(
            text in "[0-9]{4}-(0[0-9]|1[0-3])-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,9})?(Z|z|\\+00:00)?",
        ) {
            if let Some(time) = usual(&text) {
                prop_assert_eq!(Some(time), iso(&text));
            } else if text.ends_with('Z') && !text.contains('.') {
                prop_assert_eq!(iso(&text), None);
            }
        }
    }

    #[rstest]
    #[case("2019-01-30T22:45:02.6073744Z", "2019-01-30T22:45:02.6073744Z")]
    #[case("2023-10-09T19:18:23+02:00", "2023-10-09T17:18:23Z")]
    #[case("2023-10-09T19:18:23-0730", "2023-10-10T02:48:23Z")]
    #[case("2023-10-09T19:18:23", "2023-10-09T19:18:23Z")]
    #[case("2023-10-09 19:18", "2023-10-09T19:18:00Z")]
    #[case("2023-10-09", "2023-10-09T00:00:00Z")]
    #[case("10/09/2023 19:18:23", "2023-10-09T19:18:23Z")]
    #[case("10/9/2023 7:18:23 PM", "2023-10-09T19:18:23Z")]
    #[case("10/09/2023 7:18:23 AM +02:00", "2023-10-09T05:18:23Z")]
    #[case("10/09/2023 12:00:00 AM", "2023-10-09T00:00:00Z")]
    #[case("10/09/2023", "2023-10-09T00:00:00Z")]
    #[case("2023/10/09 19:18:23.5Z", "2023-10-09T19:18:23.5Z")]
    #[case("Mon, 09 Oct 2023 19:18:23 GMT", "2023-10-09T19:18:23Z")]
    #[case("Monday, October 9, 2023 7:18 PM", "2023-10-09T19:18:00Z")]
    #[case("9 Oct 2023", "2023-10-09T00:00:00Z")]
    #[case("Oct 9 2023 19:18:23", "2023-10-09T19:18:23Z")]
    #[case("2023-10-09T24:00:00Z", "2023-10-10T00:00:00Z")]
    #[case("2023-1-2 03:04:05", "2023-01-02T03:04:05Z")]
    #[case("10-09-2023", "2023-10-09T00:00:00Z")]
    #[case("2-Jan-2023 03:04:05", "2023-01-02T03:04:05Z")]
    #[case("2023-10", "2023-10-01T00:00:00Z")]
    #[case("/Date(1672628645000)/", "2023-01-02T03:04:05Z")]
    #[case("/Date(1672628645000+0200)/", "2023-01-02T03:04:05Z")]
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
    #[case("13/13/2023")]
    #[case("10/09/23")]
    #[case("10/09/2023 13:00 PM")]
    #[case("10/09/2023 10:00 EST")]
    #[case("Octember 9, 2023")]
    #[case("may")]
    #[case("2023-10-09T24:00:01Z")]
    #[case("2023")]
    #[case("/Date(x)/")]
    #[case("1-2")]
    fn what_is_no_time_is_refused(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }

    #[rstest]
    #[case("2023-10-09T19:18:23", true)]
    #[case("2023-10-09T19:18:23.1234567Z", true)]
    #[case("2023-10-09T19:18:23+02:00", true)]
    #[case("2023-10-09T19:18:23.123456789Z", false)]
    #[case("2023-10-09T19:18:23,5Z", false)]
    #[case("2023-10-09T19:18:23.Z", false)]
    #[case("2023-10-09T19:18:23 Z", false)]
    #[case("2023-10-09 19:18:23", false)]
    #[case("2023-10-09T19:18", false)]
    fn only_some_texts_are_dates_to_newtonsoft(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_date_token(text), expected);
    }

    #[test]
    fn segments_are_those_of_iomt_fhir() {
        let time = parse("2019-01-01T00:59:59.9999999Z").unwrap();
        assert_eq!(segment(time, false), "20190101005959Z");
        assert_eq!(segment(time, true), "20190101005959999Z");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9TtZz:./, +aAmMpyé-]{0,30}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read(seconds in 0..4_000_000_000_i64, hundreds in 0..10_000_000_i32) {
            let time = Timestamp::new(seconds, hundreds * 100).unwrap();
            prop_assert_eq!(parse(&time.to_string()), Some(time));
        }
    }
}
