//! Bilinear resampling of one axis, as PyTorch's `interpolate` does it: half-pixel centres, no
//! antialias.

/// An axis that is resized.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resize {
    from: usize,
    scale: f32,
}

/// Where a resized value comes from: two neighbouring source positions and their weights, which add
/// up to one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub low: usize,
    pub high: usize,
    pub low_weight: f32,
    pub high_weight: f32,
}

impl Resize {
    /// An axis of `from` positions, at least one, resized to `to`.
    pub fn new(from: usize, to: f32) -> Self {
        Self {
            from,
            scale: from as f32 / to,
        }
    }

    /// What the resized position `to` is made of; beyond the ends the last source position repeats.
    ///
    /// PyTorch `aten/src/ATen/native/UpSample.h`, `area_pixel_compute_source_index` and
    /// `guard_index_and_lambda`.
    pub fn sample(self, to: f32) -> Sample {
        let at = self.scale.mul_add(to + 0.5, -0.5).max(0.0);
        let low = (at as usize).min(self.from - 1);
        let high = (low + 1).min(self.from - 1);
        let high_weight = (at - low as f32).clamp(0.0, 1.0);
        Sample {
            low,
            high,
            low_weight: 1.0 - high_weight,
            high_weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarging_threefold_puts_the_middle_of_three_on_the_source() {
        let resize = Resize::new(4, 12.0);
        let middle = resize.sample(4.0);
        assert_eq!((middle.low, middle.low_weight), (1, 1.0));
        let next = resize.sample(5.0);
        assert_eq!((next.low, next.high), (1, 2));
        assert!((next.high_weight - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn the_ends_repeat() {
        let resize = Resize::new(2, 8.0);
        assert_eq!(
            resize.sample(0.0),
            Sample {
                low: 0,
                high: 1,
                low_weight: 1.0,
                high_weight: 0.0
            }
        );
        assert_eq!((resize.sample(7.0).low, resize.sample(7.0).high), (1, 1));
    }
}
