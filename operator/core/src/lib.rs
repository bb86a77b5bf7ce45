//! What should be: rules, releases, children, conditions, all pure
