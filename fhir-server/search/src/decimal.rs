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
/// A factor with more digits was cut off itself.
const EXACT_DIGITS: u32 = 26;
/// Digits that are sure then.
const SURE_DIGITS: usize = 26;
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

    /// `self × factor + offset` as a key: what a quantity is in another unit. Exact; but where factor or offset are cut off
    /// themselves (a third, say), 26 digits count, so that 60 minutes are an hour. `None`: too many digits with an offset.
    pub fn converted_key(self, factor: Self, offset: Self) -> Option<Vec<u8>> {
        let cut_off = |number: Self| number.mantissa.unsigned_abs() >= 10u128.pow(EXACT_DIGITS);
        let most = (cut_off(factor) || cut_off(offset)).then_some(SURE_DIGITS);
        let exponent = self.exponent.checked_add(factor.exponent)?;
        if offset.mantissa == 0 {
            let digits = product(self.mantissa.unsigned_abs(), factor.mantissa.unsigned_abs());
            return key_of((self.mantissa < 0) != (factor.mantissa < 0), digits, exponent, most);
        }
        let least = exponent.min(offset.exponent);
        let aligned = |mantissa: i128, exponent: i32| {
            let by = u32::try_from(exponent - least).ok()?;
            mantissa.checked_mul(10i128.checked_pow(by)?)
        };
        let scaled = aligned(self.mantissa.checked_mul(factor.mantissa)?, exponent)?;
        let sum = scaled.checked_add(aligned(offset.mantissa, offset.exponent)?)?;
        key_of(sum < 0, sum.unsigned_abs().to_string().into_bytes(), least, most)
    }

    /// The nearest floating point number, for what is measured and not compared.
    pub fn to_f64(self) -> f64 {
        format!("{}e{}", self.mantissa, self.exponent)
            .parse()
            .unwrap_or(f64::INFINITY)
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
        let digits = self.mantissa.unsigned_abs().to_string().into_bytes();
        // exponents of parsed numbers are within MAX_EXPONENT
        key_of(self.mantissa < 0, digits, self.exponent, None).unwrap_or_default()
    }
}

/// The key of `DIGITS × 10^exponent`, whose digits may be rounded to `most`; `None`: beyond all measurements.
fn key_of(negative: bool, mut digits: Vec<u8>, mut exponent: i32, most: Option<usize>) -> Option<Vec<u8>> {
    if let Some(most) = most.filter(|most| digits.len() > *most) {
        let up = digits[most] >= b'5';
        exponent = exponent.checked_add(i32::try_from(digits.len() - most).ok()?)?;
        digits.truncate(most);
        if up {
            increment(&mut digits);
        }
    }
    while digits.last() == Some(&b'0') {
        digits.pop();
        exponent = exponent.checked_add(1)?;
    }
    if digits.is_empty() {
        return Some(vec![0x80]);
    }
    // value = 0.DIGITS × 10^magnitude
    let magnitude = i32::try_from(digits.len()).ok()?.checked_add(exponent)?;
    let biased = u16::try_from(magnitude.checked_add(0x7fff)?).ok()?;
    let mut key = Vec::with_capacity(4 + digits.len() / 2);
    key.push(0xc0);
    key.extend(biased.to_be_bytes());
    for pair in digits.chunks(2) {
        let low = pair.get(1).map_or(0, |digit| digit - b'0');
        key.push((pair[0] - b'0') * 10 + low + 1);
    }
    if negative {
        for byte in &mut key {
            *byte = !*byte;
        }
        key.push(0xff);
    }
    Some(key)
}

/// Adds one to the last digit.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

/// The digits of `a × b`, each below 10^36.
fn product(a: u128, b: u128) -> Vec<u8> {
    const LIMB: u128 = 1_000_000_000_000_000_000;
    let ([a0, a1], [b0, b1]) = ([a % LIMB, a / LIMB], [b % LIMB, b / LIMB]);
    let low = a0 * b0;
    let middle = a0 * b1 + a1 * b0 + low / LIMB;
    let high = a1 * b1 + middle / LIMB;
    let text = format!("{}{:018}{:018}", high, middle % LIMB, low % LIMB);
    text.trim_start_matches('0').as_bytes().to_vec()
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
    fn conversions_are_exact() {
        let convert = |value: &str, factor: &str, offset: &str| {
            let of = |text| Decimal::parse(text).unwrap();
            of(value).converted_key(of(factor), of(offset))
        };
        for (value, factor, offset, expected) in [
            ("5.4", "0.001", "0", "0.0054"),
            ("-5.4", "1000", "0", "-5400"),
            ("0", "1000", "0", "0"),
            ("36.6", "1", "273.15", "309.75"),
            ("-300", "1", "273.15", "-26.85"),
            ("60", "0.01666666666666666666666666667", "0", "1"),
            (
                "1234567890.123456789012345678901234",
                "453.59237",
                "0",
                "559990575201.9735888938423974687638697372858",
            ),
        ] {
            let found = convert(value, factor, offset);
            let digits = expected.len();
            if digits < 36 {
                assert_eq!(found, Some(key(expected)), "{value} × {factor} + {offset}");
            } else {
                // more digits than a parsed number keeps
                assert!(found > Some(key(&expected[..34])), "{value} × {factor}");
            }
        }
        assert_eq!(convert("1e-9000", "1", "273.15"), None);
        assert_eq!(
            convert("1e9000", "1e9000", "0").map(|key| key[1..3].to_vec()),
            Some(vec![0xc6, 0x51 - 1])
        );
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
