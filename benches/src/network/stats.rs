//! Medians, and how far they can be trusted.

/// What so many samples say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Between these the median of all samples that could be taken lies, with at least 95 % confidence where
    /// there are six samples or more.
    pub(crate) interval: (f64, f64),
}

impl Summary {
    /// Of at least one sample.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let skip = outside(sorted.len());
        let interval = (sorted[skip], sorted[sorted.len() - 1 - skip]);
        Some(Self { median: median_of(&sorted), min, max, interval })
    }
}

fn median_of(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) }
}

/// How many samples at either end lie outside of the interval of a median. Each sample is below the true median with
/// probability 1/2, whatever their distribution: so the k-th smallest and largest enclose it but for twice
/// the binomial's tail (the sign test's interval; Conover, *Practical Nonparametric Statistics*, ch. 3.2).
fn outside(samples: usize) -> usize {
    let mut term = 0.5_f64.powi(i32::try_from(samples).unwrap_or(i32::MAX));
    let (mut tail, mut skip) = (term, 0);
    while skip + 1 < samples / 2 {
        term *= (samples - skip) as f64 / (skip + 1) as f64;
        tail += term;
        if tail > 0.025 {
            break;
        }
        skip += 1;
    }
    skip
}

/// The smallest of the sorted values that is not exceeded by this share of them.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> u32 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).or(sorted.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        let median = |samples: &[f64]| Summary::of(samples).map(|summary| summary.median);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(Summary::of(&[7.0]).unwrap().interval, (7.0, 7.0));
    }

    /// The ranks of the table of the sign test: for 6 to 8 samples the extremes, from 9 the second ones, from 12 the
    /// third ones, from 15 the fourth ones, for 20 the sixth ones.
    #[test]
    fn intervals_have_the_tables_ranks() {
        let ranks: Vec<_> = [6, 8, 9, 11, 12, 15, 20].map(outside).into();
        assert_eq!(ranks, [0, 0, 1, 1, 2, 3, 5]);
        let samples: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(Summary::of(&samples).unwrap().interval, (2.0, 8.0));
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let sorted: Vec<u32> = (1..=1000).collect();
        assert_eq!([0.5, 0.99, 0.999, 1.0].map(|share| percentile(&sorted, share)), [500, 990, 999, 1000]);
        assert_eq!(percentile(&[7], 0.5), 7);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
