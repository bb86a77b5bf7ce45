//! Which devices belong together where several readers share the work.

/// Buckets that devices are spread over.
pub const BUCKETS: u32 = 256;

/// The bucket of a device, whatever the case of its letters: iomt-fhir's partition key, so that its partitions and ours
/// agree.
pub fn bucket(device: &str) -> u32 {
    hash(&device.to_lowercase(), BUCKETS)
}

/// A number below `range`: 31·h + unit over the UTF-16 units, in 32 bits, without its sign.
pub fn hash(text: &str, range: u32) -> u32 {
    let hash = text
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.unsigned_abs() % range.max(1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("abba", 32)]
    #[case("aaabbb", 191)]
    #[case("bbbaaa", 33)]
    #[case("abcdefghijklmnopqrstuvwxyz", 173)]
    fn buckets_are_those_of_iomt_fhir(#[case] text: &str, #[case] expected: u32) {
        assert_eq!(hash(text, BUCKETS), expected);
        assert_eq!(bucket(&text.to_uppercase()), expected);
    }
}
