//! Who may do what, and who sees it: TLS, the rights of users, and passwords that appear nowhere.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod acl;
mod addresses;
mod certificates;
mod plain;
mod tally;
mod tls;
