//! The memory of the whole run is bounded: the kernel ends a test that asks for more.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Address space of the test program: threads of the runner and the largest input have room, a bomb hasn't.
const MOST: u64 = 4 << 30;

/// Bounds the memory of this process.
pub fn bounded() {
    let limit = Rlimit {
        current: Some(MOST),
        maximum: Some(MOST),
    };
    setrlimit(Resource::As, limit).expect("a limit");
}
