//! Servers, fault proxies and worker processes for the tests and the examples.
