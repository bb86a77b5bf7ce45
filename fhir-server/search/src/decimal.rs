//! Decimals as search needs them: exact to 34 digits, with the precision as written, and a form whose bytes sort like
//! the values.

/// `mantissa × 10^exponent`; the exponent keeps the precision as written (5.00 is 500 × 10^-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    exponent: i32,
}

/// Digits that are kept; further ones are cut off.
const MAX_DIGITS: u32 = 34;
/// Beyond this a number is no measurement, and the key's exponent would overflow.
const MAX_EXPONENT: i32 = 10_000;

impl Decimal {
    /// Parses a JSON number or a search value: sign, digits, fraction, exponent.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (number, power) = match rest.find(['e', 'E']) {
            Some(at) => (
                &rest[..at],
                rest[at + 1..]
                    .strip_prefix('+')
                    .unwrap_or(&rest[at + 1..])
                    .parse::<i32>()
                    .ok()?,
            ),
            None => (rest, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (mut mantissa, mut exponent, mut digits) = (0i128, power, 0);
        for (index, byte) in whole.bytes().chain(fraction.bytes()).enumerate() {
            if !byte.is_ascii_digit() {
                return None;
            }
            let in_fraction = index >= whole.len();
            if digits == MAX_DIGITS {
                exponent = exponent.checked_add(i32::from(!in_fraction))?;
                continue;
            }
            mantissa = mantissa * 10 + i128::from(byte - b'0');
            digits += u32::from(mantissa != 0);
            exponent = exponent.checked_sub(i32::from(in_fraction))?;
        }
        if exponent.abs() > MAX_EXPONENT {
            return None;
        }
        Some(Self {
            mantissa: if negative { -mantissa } else { mantissa },
            exponent,
        })
    }

    /// The range of values that this one, at its precision, stands for: half a unit of the last digit to both sides.
    pub fn precision_range(self) -> (Self, Self) {
        self.spread(5)
    }

    /// Ten per cent to both sides: what `ap` means.
    pub fn approximate_range(self) -> (Self, Self) {
        let by = i128::try_from(self.mantissa.unsigned_abs()).unwrap_or(i128::MAX / 100);
        self.spread(by)
    }

    /// `tenths` tenths of a unit of the last digit to both sides. 34 digits and one more fit into an `i128`.
    fn spread(self, tenths: i128) -> (Self, Self) {
        let exponent = self.exponent - 1;
        let middle = self.mantissa * 10;
        (
            Self {
                mantissa: middle - tenths,
                exponent,
            },
            Self {
                mantissa: middle + tenths,
                exponent,
            },
        )
    }

    /// Bytes that sort like the values, whatever their precision.
    ///
    /// Zero is `80`. A positive number is `C0`, its magnitude as two bytes, its digits in pairs; a negative one is the
    /// complement of its opposite with `FF` behind it, so that a longer one sorts before its own prefix.
    pub fn to_key(self) -> Vec<u8> {
        let mut digits = self.mantissa.unsigned_abs();
        if digits == 0 {
            return vec![0x80];
        }
        let mut exponent = self.exponent;
        while digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        let text = digits.to_string();
        // value = 0.DIGITS × 10^magnitude
        let magnitude = i32::try_from(text.len()).unwrap_or(0) + exponent;
        let biased = u16::try_from(magnitude + 0x7fff).unwrap_or(u16::MAX);
        let mut key = vec![0xc0];
        key.extend(biased.to_be_bytes());
        for pair in text.as_bytes().chunks(2) {
            let low = pair.get(1).map_or(0, |digit| digit - b'0');
            key.push((pair[0] - b'0') * 10 + low + 1);
        }
        if self.mantissa < 0 {
            for byte in &mut key {
                *byte = !*byte;
            }
            key.push(0xff);
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> Vec<u8> {
        Decimal::parse(text)
            .unwrap_or_else(|| panic!("`{text}` is a number"))
            .to_key()
    }

    #[test]
    fn keys_sort_like_values() {
        let sorted = [
            "-1e30", "-123.5", "-123.4", "-123", "-12", "-0.001", "0", "1e-9", "0.002", "0.02", "5", "5.0001", "12",
            "123", "1230", "1e30",
        ];
        assert!(sorted.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        for equal in [["5", "5.000"], ["2e-3", "0.002"], ["-0", "0"], ["1200", "1.2E3"]] {
            assert_eq!(key(equal[0]), key(equal[1]), "{equal:?}");
        }
    }

    #[test]
    fn precision_is_as_written() {
        for (text, low, high) in [
            ("5", "4.5", "5.5"),
            ("5.000", "4.9995", "5.0005"),
            ("2e-3", "0.0015", "0.0025"),
            ("-5", "-5.5", "-4.5"),
            ("100", "99.5", "100.5"),
        ] {
            let (from, to) = Decimal::parse(text).unwrap().precision_range();
            assert_eq!((from.to_key(), to.to_key()), (key(low), key(high)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["", "-", "1.2.3", "abc", "1e", "1e99999", ".", "0x1", "1 "] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_two_keys_sort_like_their_values(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000, e in 0i32..6) {
            let text = |n: i64| format!("{n}e-{e}");
            prop_assert_eq!(a.cmp(&b), key(&text(a)).cmp(&key(&text(b))));
        }
    }
}
