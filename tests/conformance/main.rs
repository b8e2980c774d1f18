//! Both stores answer alike: each test is written once and runs on the store in memory and on a real server.
//!
//! `acl`, `errors`, `expiry` and a part of `collections` hold what only a real server has.
// Test code: a failed expectation is the test's result.
#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Makes two tests of each function: one on the store in memory, one on a real server.
macro_rules! conformance {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::bench::Bench::memory()).await;
            })*
        }

        mod redis {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::bench::Bench::redis().await).await;
            })*
        }
    };
}

mod acl;
mod attach;
mod attach_again;
mod bench;
mod collections;
mod commit;
mod errors;
mod expiry;
mod fold;
mod kit;
mod load;
mod lost;
mod parking;
mod proof;
mod read;
mod refuse;
mod release;
mod renew;
mod replaced;
mod requeue;
mod retention;
mod trying;
mod unread;
