//! The account balances, whatever is killed.

mod kills;
