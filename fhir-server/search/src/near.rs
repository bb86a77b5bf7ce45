//! `Location?near`: within a distance of a place. R4 writes `latitude|longitude|distance|unit`; STU3 `near=latitude:longitude`
//! and the distance in `near-distance`.

use fhir_definitions::SearchParameter;

use crate::decimal::Decimal;
use crate::error::SearchError;
use crate::ucum;
use crate::value::{prefix, split};

/// Mean radius of the earth in metres (IUGG).
pub const RADIUS: f64 = 6_371_008.8;
/// What is near where no distance is given, in metres.
const DEFAULT: f64 = 10_000.0;

/// A place on the earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// -90 to 90.
    pub latitude: f64,
    /// -180 to 180.
    pub longitude: f64,
}

impl Place {
    /// A place; `None` for what isn't on the earth.
    pub fn of(latitude: f64, longitude: f64) -> Option<Self> {
        let place = Self { latitude, longitude };
        ((-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude)).then_some(place)
    }

    /// Metres along the surface of a sphere.
    pub fn distance(self, other: Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let (up, along) = (to - from, (other.longitude - self.longitude).to_radians());
        let haversine = (up / 2.0).sin().powi(2) + from.cos() * to.cos() * (along / 2.0).sin().powi(2);
        2.0 * RADIUS * haversine.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// Everything within a distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circle {
    /// The middle.
    pub centre: Place,
    /// The distance.
    pub metres: f64,
}

/// Degrees that hold a circle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Least latitude.
    pub south: f64,
    /// Greatest latitude.
    pub north: f64,
    /// Ranges of longitudes: two where the circle lies over the date line.
    pub longitudes: [Option<(f64, f64)>; 2],
}

impl Circle {
    /// The least rectangle of degrees around it, a little larger than it must be.
    pub fn bounds(&self) -> Bounds {
        let reach = (self.metres / RADIUS).to_degrees() * 1.000_001 + 1e-9;
        let (south, north) = (self.centre.latitude - reach, self.centre.latitude + reach);
        // beyond a pole every longitude is near
        let sine = (self.metres / RADIUS).sin() / self.centre.latitude.to_radians().cos();
        if south <= -90.0 || north >= 90.0 || sine.abs() >= 1.0 {
            return Bounds {
                south,
                north,
                longitudes: [Some((-180.0, 180.0)), None],
            };
        }
        let width = sine.asin().to_degrees() * 1.000_001 + 1e-9;
        let (west, east) = (self.centre.longitude - width, self.centre.longitude + width);
        let longitudes = if west < -180.0 {
            [Some((west + 360.0, 180.0)), Some((-180.0, east))]
        } else if east > 180.0 {
            [Some((west, 180.0)), Some((-180.0, east - 360.0))]
        } else {
            [Some((west, east)), None]
        };
        Bounds {
            south,
            north,
            longitudes,
        }
    }
}

/// Whether a parameter is about places, whatever its type is called in its version.
pub fn is(parameter: SearchParameter) -> bool {
    parameter.base() == "Location" && parameter.code() == "near"
}

/// Whether a parameter only completes `near` (STU3).
pub fn is_distance(parameter: SearchParameter) -> bool {
    parameter.base() == "Location" && parameter.code() == "near-distance"
}

/// Reads a value as R4 writes it.
pub fn parse(text: &str) -> Result<Circle, SearchError> {
    let bad = |what: &str| {
        SearchError::BadValue(format!(
            "The value '{text}' of the search parameter 'near' {what}. Write `latitude|longitude|distance|unit`."
        ))
    };
    let parts = split(text, '|');
    let (latitude, longitude, rest) = match parts.as_slice() {
        [latitude, longitude, rest @ ..] if rest.len() <= 2 => (latitude, longitude, rest),
        _ => return Err(bad("is no place")),
    };
    let degrees = |text: &str| text.trim().parse::<f64>().ok();
    let place = degrees(latitude).zip(degrees(longitude));
    let centre = place.and_then(|(latitude, longitude)| Place::of(latitude, longitude));
    let centre = centre.ok_or_else(|| bad("has no latitude of -90 to 90 and longitude of -180 to 180"))?;
    let metres = match rest {
        [] | [""] | ["", _] => DEFAULT,
        [distance, unit @ ..] => {
            let unit = unit.first().copied().filter(|unit| !unit.is_empty()).unwrap_or("km");
            let unit = ucum::canonical(ucum::SYSTEM, unit).filter(|unit| unit.unit == "m");
            let unit = unit.ok_or_else(|| bad("has a unit that is no length of UCUM (`km`, `m`, `[mi_i]`)"))?;
            let distance = Decimal::parse(distance)
                .map(Decimal::to_f64)
                .filter(|distance| *distance >= 0.0);
            distance.ok_or_else(|| bad("has no distance"))? * unit.factor()
        }
    };
    Ok(Circle { centre, metres })
}

/// STU3's two values as R4 writes them.
pub fn of_stu3(near: &str, distance: Option<&str>) -> String {
    let place = near.replacen(':', "|", 1);
    let Some(distance) = distance else { return place };
    let (_, distance) = prefix(distance);
    let parts = split(distance, '|');
    format!("{place}|{}|{}", parts[0], parts.get(2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("42.2565|-83.6948|11.2|km", 11_200.0)]
    #[case("42.2565|-83.6948|11.2", 11_200.0)]
    #[case("42.2565|-83.6948", 10_000.0)]
    #[case("42.2565|-83.6948||", 10_000.0)]
    #[case("42.2565|-83.6948|2|[mi_i]", 3_218.688)]
    #[case("42.2565|-83.6948|1e3|m", 1_000.0)]
    fn distances(#[case] text: &str, #[case] metres: f64) {
        assert!((parse(text).expect("a circle").metres - metres).abs() < 1e-6);
    }

    #[rstest]
    #[case("")]
    #[case("42")]
    #[case("91|0|1|km")]
    #[case("0|181|1|km")]
    #[case("NaN|0|1|km")]
    #[case("0|0|-1|km")]
    #[case("0|0|1|kg")]
    #[case("0|0|x|km")]
    #[case("0|0|1|km|more")]
    fn refuses(#[case] text: &str) {
        assert_eq!(parse(text).expect_err("refused").status(), 400);
    }

    #[test]
    fn stu3_is_written_as_r4() {
        assert_eq!(of_stu3("-83.6:42.2", Some("11.20||km")), "-83.6|42.2|11.20|km");
        assert_eq!(
            of_stu3("-83.6:42.2", Some("le5|http://unitsofmeasure.org|m")),
            "-83.6|42.2|5|m"
        );
        assert_eq!(of_stu3("-83.6:42.2", None), "-83.6|42.2");
    }

    proptest! {
        #[test]
        fn bounds_hold_the_circle(
            lat in -90.0..=90.0f64, lon in -180.0..=180.0f64, other_lat in -90.0..=90.0f64, other_lon in -180.0..=180.0f64,
            more in 0.0..1_000.0f64,
        ) {
            let (centre, other) = (Place::of(lat, lon).unwrap(), Place::of(other_lat, other_lon).unwrap());
            let bounds = Circle { centre, metres: centre.distance(other) + more }.bounds();
            prop_assert!((bounds.south..=bounds.north).contains(&other.latitude));
            let mut ranges = bounds.longitudes.iter().flatten();
            prop_assert!(ranges.any(|(west, east)| (*west..=*east).contains(&other.longitude)));
        }
    }
}
