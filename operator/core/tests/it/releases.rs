//! Which release runs now.

use fhir_operator_core::api::{Channel, Reason};
use fhir_operator_core::releases::{CURRENT_REVISION, Catalogue, Running, Window, Wishes, choose};
use rstest::rstest;

use crate::fixture::{CATALOGUE, IN_WINDOW, NOW, at, installation};

fn running(version: &str) -> Running {
    Running {
        version: version.to_owned(),
        image: format!("held:{version}"),
        revision: CURRENT_REVISION,
    }
}

#[rstest]
#[case::first_stable(None, Channel::Stable, None, None, NOW, "0.2.0", Reason::Current)]
#[case::first_rapid(None, Channel::Rapid, None, None, NOW, "0.3.0-rc.1", Reason::Current)]
#[case::first_pinned(Some("0.1.0"), Channel::Stable, None, None, NOW, "0.1.0", Reason::Current)]
#[case::first_on_newer_data(None, Channel::Stable, None, Some(3), NOW, "0.3.0-rc.1", Reason::Current)]
#[case::pin_below_data(
    Some("0.1.0"),
    Channel::Stable,
    None,
    Some(2),
    NOW,
    "0.2.0",
    Reason::DowngradeNotSupported
)]
#[case::waits(
    None,
    Channel::Stable,
    Some("0.1.0"),
    Some(1),
    NOW,
    "0.1.0",
    Reason::WaitingForWindow
)]
#[case::rolls_in_window(None, Channel::Stable, Some("0.1.0"), Some(1), IN_WINDOW, "0.2.0", Reason::Current)]
#[case::newest_runs(None, Channel::Stable, Some("0.2.0"), Some(2), IN_WINDOW, "0.2.0", Reason::Current)]
#[case::back_to_stable_stays(
    None,
    Channel::Stable,
    Some("0.3.0-rc.1"),
    Some(3),
    IN_WINDOW,
    "0.3.0-rc.1",
    Reason::Current
)]
#[case::pin_is_at_once(
    Some("0.2.0"),
    Channel::Stable,
    Some("0.1.0"),
    Some(1),
    NOW,
    "0.2.0",
    Reason::Current
)]
#[case::pin_keeps_from_updates(
    Some("0.1.0"),
    Channel::Stable,
    Some("0.1.0"),
    Some(1),
    IN_WINDOW,
    "0.1.0",
    Reason::Current
)]
#[case::pin_back_is_refused(
    Some("0.1.0"),
    Channel::Stable,
    Some("0.2.0"),
    Some(2),
    IN_WINDOW,
    "0.2.0",
    Reason::DowngradeNotSupported
)]
#[case::left_the_catalogue(
    Some("0.0.9"),
    Channel::Stable,
    Some("0.0.9"),
    Some(1),
    NOW,
    "0.0.9",
    Reason::Current
)]
fn the_release_that_runs(
    #[case] pin: Option<&str>,
    #[case] channel: Channel,
    #[case] runs: Option<&str>,
    #[case] data_schema: Option<u32>,
    #[case] now: &str,
    #[case] version: &str,
    #[case] reason: Reason,
) {
    let window = Window::try_from(&installation().maintenance_window).unwrap();
    let held = runs.map(running);
    let wishes = Wishes {
        pin,
        channel,
        window: &window,
        running: held.as_ref(),
        data_schema,
        now: at(now),
    };
    let choice = choose(&wishes, &Catalogue::parse(CATALOGUE).unwrap()).unwrap();
    assert_eq!((choice.version.as_str(), choice.finding.reason), (version, reason));
    if runs == Some(version) {
        assert_eq!(choice.image, format!("held:{version}"), "what runs isn't pulled anew");
    }
}

#[test]
fn a_wait_says_until_when() {
    let window = Window::try_from(&installation().maintenance_window).unwrap();
    let held = running("0.1.0");
    let wishes = Wishes {
        pin: None,
        channel: Channel::Stable,
        window: &window,
        running: Some(&held),
        data_schema: None,
        now: at(NOW),
    };
    let choice = choose(&wishes, &Catalogue::parse(CATALOGUE).unwrap()).unwrap();
    assert_eq!(choice.next, Some(at("2026-01-04T02:00:00Z")));
    assert_eq!(
        choice.finding.message,
        "release `0.2.0` waits for the maintenance window, which opens at 2026-01-04T02:00:00Z; set spec.version to have it now"
    );
}

#[rstest]
#[case::unknown_pin(
    Some("9.9.9"),
    None,
    "spec.version `9.9.9` isn't a release of this installation: choose `0.3.0-rc.1` or `0.2.0` or `0.1.0`, or leave it out"
)]
#[case::data_from_the_future(
    None,
    Some(9),
    "the data has schema 9, and this operator's releases have schema 3 at most: upgrade the operator"
)]
fn what_cannot_run_is_refused(#[case] pin: Option<&str>, #[case] data_schema: Option<u32>, #[case] message: &str) {
    let window = Window::try_from(&installation().maintenance_window).unwrap();
    let wishes = Wishes {
        pin,
        channel: Channel::Stable,
        window: &window,
        running: None,
        data_schema,
        now: at(NOW),
    };
    assert_eq!(
        choose(&wishes, &Catalogue::parse(CATALOGUE).unwrap())
            .unwrap_err()
            .message,
        message
    );
}

#[rstest]
#[case::not_a_list("releases: 1", "isn't `releases:")]
#[case::empty("releases: []", "is empty")]
#[case::twice(
    "releases: [{version: 1.0.0, image: a, schema: 1}, {version: 1.0.0, image: b, schema: 1}]",
    "`1.0.0` is in the catalogue twice"
)]
fn catalogues_are_checked(#[case] text: &str, #[case] says: &str) {
    assert!(Catalogue::parse(text).unwrap_err().to_string().contains(says));
}
