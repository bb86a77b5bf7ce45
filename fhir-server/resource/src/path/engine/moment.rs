//! Dates, times and both together, each known to some precision: what can't be told from it is unknown, not false.

use std::cmp::Ordering;
use std::fmt;

use crate::Micros;
use crate::temporal::{civil, days, days_in};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The widest offsets from UTC that there are, west and east.
const OFFSETS: (i64, i64) = (-12 * 60, 14 * 60);

/// What sort of moment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Date,
    DateTime,
    Time,
}

/// Year, month, day, hour, minute, and microseconds of the minute (a second and its fraction are one number).
type Fields = [i64; 6];

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub sort: Sort,
    fields: Fields,
    /// How many of the fields are known, counted from the year in times, too.
    known: usize,
    /// Digits of the fraction as written.
    digits: usize,
    /// Minutes east of UTC.
    offset: Option<i64>,
}

/// What may be added to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    Months(i64),
    Micros(i64),
}

struct Reader<'t> {
    text: &'t str,
}

impl Reader<'_> {
    fn take(&mut self, first: char) -> bool {
        let rest = self.text.strip_prefix(first);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn number(&mut self, width: usize) -> Option<i64> {
        let digits = self.text.get(..width)?;
        self.text = &self.text[width..];
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())?
    }

    fn time(&mut self, moment: &mut Moment) -> Option<()> {
        moment.fields[3] = self.number(2).filter(|hour| *hour < 24)?;
        moment.known = 4;
        if !self.take(':') {
            return Some(());
        }
        moment.fields[4] = self.number(2).filter(|minute| *minute < 60)?;
        moment.known = 5;
        if !self.take(':') {
            return Some(());
        }
        moment.fields[5] = self.number(2).filter(|second| *second <= 60)? * SECOND;
        moment.known = 6;
        if !self.take('.') {
            return Some(());
        }
        moment.digits = self.text.bytes().take_while(u8::is_ascii_digit).count();
        let digits = self.text.get(..moment.digits).filter(|digits| !digits.is_empty())?;
        let unit = digits.bytes().zip((0..6).rev());
        moment.fields[5] += unit
            .map(|(digit, power)| i64::from(digit - b'0') * 10_i64.pow(power))
            .sum::<i64>();
        self.text = &self.text[moment.digits..];
        Some(())
    }

    /// Minutes east of UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.take('Z') {
            return Some(0);
        }
        let sign = if self.take('+') { 1 } else { -i64::from(self.take('-')) };
        let hours = self.number(2)?;
        let minutes = self.take(':').then(|| self.number(2))??;
        let offset = sign * (hours * 60 + minutes);
        (sign != 0 && minutes < 60 && (-14 * 60..=14 * 60).contains(&offset)).then_some(offset)
    }
}

impl Moment {
    fn empty(sort: Sort) -> Self {
        Moment {
            sort,
            fields: [1, 1, 1, 0, 0, 0],
            known: 0,
            digits: 0,
            offset: None,
        }
    }

    /// Reads `2015`, `2015-02-04`, `2015-02-04T14:34:28.123+10:00`, `2015T`: a date if there is no `T`.
    pub fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { text };
        let mut moment = Self::empty(Sort::Date);
        moment.fields[0] = reader.number(4).filter(|year| *year > 0)?;
        moment.known = 1;
        if reader.take('-') {
            moment.fields[1] = reader.number(2).filter(|month| (1..=12).contains(month))?;
            moment.known = 2;
            if reader.take('-') {
                let last = days_in(moment.fields[0], moment.fields[1]);
                moment.fields[2] = reader.number(2).filter(|day| (1..=last).contains(day))?;
                moment.known = 3;
            }
        }
        if reader.take('T') {
            moment.sort = Sort::DateTime;
            if moment.known == 3 && !reader.text.is_empty() {
                reader.time(&mut moment)?;
                if !reader.text.is_empty() {
                    moment.offset = Some(reader.offset()?);
                }
            }
        }
        reader.text.is_empty().then_some(moment)
    }

    /// Reads a time of day: `14`, `14:34:28.123`.
    pub fn read_time(text: &str) -> Option<Self> {
        let mut reader = Reader { text };
        let mut moment = Self::empty(Sort::Time);
        reader.time(&mut moment)?;
        reader.text.is_empty().then_some(moment)
    }

    /// The moment `micros`, in UTC, to the millisecond.
    pub fn of(micros: Micros) -> Self {
        let mut moment = Self::empty(Sort::DateTime);
        moment.known = 6;
        moment.digits = 3;
        moment.offset = Some(0);
        moment.set(micros - micros.rem_euclid(1000));
        moment
    }

    /// Its date alone.
    pub fn date(mut self) -> Self {
        self.known = self.known.min(3);
        self.sort = Sort::Date;
        self.offset = None;
        self
    }

    /// The same as a dateTime.
    pub fn date_time(mut self) -> Self {
        self.sort = Sort::DateTime;
        self
    }

    /// Its time of day alone.
    pub fn time(mut self) -> Self {
        self.sort = Sort::Time;
        self.fields[..3].copy_from_slice(&[1, 1, 1]);
        self.offset = None;
        self
    }

    /// The first microsecond that it may mean, in its own zone.
    fn micros(&self) -> Micros {
        let [year, month, day, hour, minute, rest] = self.fields;
        days(year, month, day) * DAY + hour * HOUR + minute * MINUTE + rest
    }

    fn set(&mut self, micros: Micros) {
        let (day, time) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
        let (year, month, date) = civil(day);
        self.fields = [year, month, date, time / HOUR, time / MINUTE % 60, time % MINUTE];
    }

    /// The same moment in UTC.
    fn normal(mut self) -> Self {
        if let Some(offset) = self.offset.filter(|offset| *offset != 0) {
            self.set(self.micros() - offset * MINUTE);
            self.offset = Some(0);
        }
        self
    }

    /// How both are ordered; `None` where their precision doesn't tell, or where one is a time and the other a date.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        if (self.sort == Sort::Time) != (other.sort == Sort::Time) {
            return None;
        }
        match (self.offset, other.offset) {
            (Some(_), None) if other.known > 3 => return self.far_from(other),
            (None, Some(_)) if self.known > 3 => return other.far_from(self).map(Ordering::reverse),
            _ => {}
        }
        let (left, right) = (self.normal(), other.normal());
        let both = left.known.min(right.known);
        match left.fields[..both].cmp(&right.fields[..both]) {
            Ordering::Equal if left.known != right.known => None,
            order => Some(order),
        }
    }

    /// How it is ordered to a moment whose offset isn't known, if it is so with any offset.
    fn far_from(self, other: Self) -> Option<Ordering> {
        let own = self.normal().micros();
        let (earliest, latest) = (other.micros() - OFFSETS.1 * MINUTE, other.micros() - OFFSETS.0 * MINUTE);
        if own < earliest {
            Some(Ordering::Less)
        } else if own > latest {
            Some(Ordering::Greater)
        } else {
            None
        }
    }

    /// Whether both are the same to the same precision.
    pub fn is_equivalent(self, other: Self) -> bool {
        let zoned = self.offset.is_some() == other.offset.is_some();
        zoned && self.compare(other) == Some(Ordering::Equal)
    }

    /// Later by a span, to its own precision; `None` outside the years 1 to 9999.
    pub fn plus(mut self, span: Span) -> Option<Self> {
        match span {
            Span::Months(months) if self.sort != Sort::Time => {
                let months = match self.known {
                    1 => months / 12 * 12,
                    _ => months,
                };
                let total = (self.fields[0] * 12 + self.fields[1] - 1).checked_add(months)?;
                let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
                if !(1..=9999).contains(&year) {
                    return None;
                }
                self.fields[0] = year;
                self.fields[1] = month;
                self.fields[2] = self.fields[2].min(days_in(year, month));
            }
            Span::Months(_) => return None,
            Span::Micros(micros) if self.sort == Sort::Time => {
                let time = (self.fields[3] * HOUR + self.fields[4] * MINUTE + self.fields[5]).checked_add(micros)?;
                self.set(time.rem_euclid(DAY));
                self.fields[..3].copy_from_slice(&[1, 1, 1]);
            }
            Span::Micros(micros) => {
                // Days are added to a year or a month as whole months of 30 days.
                if self.known < 3 {
                    return self.plus(Span::Months(micros / (30 * DAY)));
                }
                let micros = if self.known == 3 { micros / DAY * DAY } else { micros };
                let after = self.micros().checked_add(micros)?;
                if !(days(1, 1, 1) * DAY..days(10_000, 1, 1) * DAY).contains(&after) {
                    return None;
                }
                self.set(after);
            }
        }
        Some(self)
    }

    /// How many digits it is known to: 4 for a year, 8 for a day, 17 for a millisecond; hours of times are 2.
    pub fn precision(self) -> usize {
        let digits = [0, 4, 6, 8, 10, 12, 14][self.known.min(6)] + self.digits.min(3);
        if self.sort == Sort::Time { digits - 8 } else { digits }
    }

    /// The first (or last) moment that it may mean, to `digits` digits.
    pub fn boundary(mut self, digits: Option<usize>, high: bool) -> Option<Self> {
        let full = match self.sort {
            Sort::Date => 8,
            Sort::DateTime => 17,
            Sort::Time => 9,
        };
        let digits = digits.unwrap_or(full);
        let counted = if self.sort == Sort::Time { digits + 8 } else { digits };
        let known = match counted {
            4 => 1,
            6 => 2,
            8 => 3,
            10 => 4,
            12 => 5,
            14 | 17 => 6,
            _ => return None,
        };
        let was = self.known;
        if high {
            if was < 2 {
                self.fields[1] = 12;
            }
            if was < 3 {
                self.fields[2] = days_in(self.fields[0], self.fields[1]);
            }
            // An hour without minutes is the hour itself, as HL7's tests have it.
            if was < 4 {
                self.fields[3] = 23;
                self.fields[4] = 59;
            }
            if was < 6 {
                self.fields[5] = 59 * SECOND + 999_000;
            } else if self.digits == 0 {
                self.fields[5] += 999_000;
            }
        }
        self.known = known;
        self.digits = if counted == 17 { 3 } else { 0 };
        if known > 3 && self.sort == Sort::DateTime && self.offset.is_none() {
            self.offset = Some(if high { OFFSETS.0 } else { OFFSETS.1 });
        }
        if known <= 3 {
            self.offset = None;
        }
        Some(self)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, rest] = self.fields;
        if self.sort != Sort::Time {
            write!(out, "{year:04}")?;
            for (field, number) in [(month, 2), (day, 3)] {
                if self.known >= number {
                    write!(out, "-{field:02}")?;
                }
            }
            if self.known > 3 {
                write!(out, "T")?;
            }
        }
        if self.known > 3 {
            write!(out, "{hour:02}")?;
        }
        if self.known > 4 {
            write!(out, ":{minute:02}")?;
        }
        if self.known > 5 {
            write!(out, ":{:02}", rest / SECOND)?;
            if self.digits > 0 {
                let fraction = format!("{:06}", rest % SECOND);
                write!(out, ".{fraction:.width$}", width = self.digits.min(6))?;
            }
        }
        match self.offset {
            None => Ok(()),
            Some(0) => write!(out, "Z"),
            Some(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                write!(out, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
            }
        }
    }
}
