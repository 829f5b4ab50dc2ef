//! Times drawn at random.

use std::time::Duration;

/// How the times of one kind of work are distributed.
#[derive(Debug, Clone, Copy)]
pub enum Spread {
    /// Always the same.
    Constant(Duration),
    /// Memoryless, with this mean.
    Exponential(Duration),
    /// Logarithm normally distributed.
    LogNormal {
        /// Half of them are shorter.
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// One of two times.
    Bimodal {
        /// The usual one.
        short: Duration,
        /// The rare one.
        long: Duration,
        /// The share of the long ones, 0.0 to 1.0.
        share: f64,
    },
}

impl Spread {
    /// The mean.
    pub fn mean(self) -> Duration {
        match self {
            Self::Constant(time) | Self::Exponential(time) => time,
            Self::LogNormal { median, sigma } => median.mul_f64((sigma * sigma / 2.0).exp()),
            Self::Bimodal { short, long, share } => short.mul_f64(1.0 - share) + long.mul_f64(share),
        }
    }

    /// One time, in ns.
    pub(super) fn draw(self, random: &mut fastrand::Rng) -> u64 {
        let ns = |time: Duration| time.as_nanos() as f64;
        let drawn = match self {
            Self::Constant(time) => ns(time),
            Self::Exponential(mean) => ns(mean) * exponential(random),
            Self::LogNormal { median, sigma } => ns(median) * (sigma * normal(random)).exp(),
            Self::Bimodal { long, share, .. } if random.f64() < share => ns(long),
            Self::Bimodal { short, .. } => ns(short),
        };
        drawn as u64
    }
}

/// Exponentially distributed with mean 1.
pub(super) fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// Normally distributed with mean 0 and deviation 1 (Box and Muller 1958).
fn normal(random: &mut fastrand::Rng) -> f64 {
    (2.0 * exponential(random)).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}
