//! Which server this is.

use std::fmt;
use std::path::Path;
use std::process::Command;

/// Who makes a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Redis.
    Redis,
    /// Valkey, the fork of Redis 7.2.
    Valkey,
}

/// A server's product and version number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Whose number it is.
    pub product: Product,
    /// `(major, minor, patch)`, in the product's own counting.
    pub number: (u32, u32, u32),
}

impl Version {
    /// Whether it is this product in this version or a later one.
    pub fn is_at_least(&self, product: Product, number: (u32, u32, u32)) -> bool {
        self.product == product && self.number >= number
    }

    /// Reads the answer to INFO. A Valkey server also tells the version of Redis it is compatible with.
    pub(super) fn from_info(info: &str) -> Option<Self> {
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let (product, number) = match field("valkey_version") {
            Some(number) => (Product::Valkey, number),
            None => (Product::Redis, field("redis_version")?),
        };
        Some(Self { product, number: parse(number)? })
    }

    /// Asks a binary with `--version`, which answers `Redis server v=7.0.15 …`.
    pub(super) fn of_binary(binary: &Path) -> Option<Self> {
        let output = Command::new(binary).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
        let product = if text.starts_with("Valkey") { Product::Valkey } else { Product::Redis };
        Some(Self { product, number: parse(number)? })
    }

    /// Redis 7.0 and every Valkey have DEBUG switched off by default, and an option for it.
    pub(super) fn has_debug_option(&self) -> bool {
        self.number >= (7, 0, 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = match self.product {
            Product::Redis => "Redis",
            Product::Valkey => "Valkey",
        };
        let (major, minor, patch) = self.number;
        write!(f, "{product} {major}.{minor}.{patch}")
    }
}

fn parse(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.trim().split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_names_the_product() {
        let redis = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n";
        assert_eq!(Version::from_info(redis), Some(Version { product: Product::Redis, number: (7, 0, 15) }));
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n";
        assert_eq!(Version::from_info(valkey), Some(Version { product: Product::Valkey, number: (9, 1, 2) }));
        assert_eq!(Version::from_info("# Server\r\n"), None);
    }
}
