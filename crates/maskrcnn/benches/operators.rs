//! How long the operators take, at the sizes that networks call them with.
//!
//! `cargo bench -p maskrcnn` runs all, `cargo bench -p maskrcnn -- nms` those of that name,
//! and `DIVAN_MAX_TIME=0.2` in front gives each that many seconds at most. Each operator runs on
//! one thread, as it is written; the detector calls RoIAlign from all of them. Inputs are the same
//! in every run and on every machine.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use maskrcnn::ops::{BoxCoder, FeatureMap, RoiAlign, batched_nms, paste_mask};
use maskrcnn::{BBox, Size};

/// A photo of 3:2 as torchvision resizes it: 800 pixels along the shorter side.
const RESIZED: Size = Size::new(800, 1200);

/// Pixels from cell to cell of P3, the level that boxes of 112 to 224 pixels are pooled from.
const STRIDE: usize = 8;

/// Cells along each side of the mask head's output.
const MASK_SIDE: usize = 28;

/// Overlap above which torchvision's box head suppresses.
const NMS_THRESHOLD: f64 = 0.5;

/// Runs the benches that the arguments ask for.
fn main() {
    divan::main();
}

/// A linear congruential generator with Knuth's constants for MMIX: the benches need numbers that
/// are spread out and always the same, not good ones.
struct Numbers(u64);

impl Numbers {
    /// The same numbers at every call.
    fn new() -> Self {
        Self(1)
    }

    /// The next number from `low` to `high`. The high bits make it: an LCG's low ones repeat early.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let unit = (self.0 >> 40) as f32 / (1u64 << 24) as f32;
        low + unit * (high - low)
    }

    /// As many numbers from `low` to `high`.
    fn many(&mut self, count: usize, low: f32, high: f32) -> Vec<f32> {
        (0..count).map(|_| self.between(low, high)).collect()
    }

    /// A box with sides from `least` to `most` pixels anywhere inside the resized photo.
    fn bbox(&mut self, least: f32, most: f32) -> BBox {
        let (width, height) = (self.between(least, most), self.between(least, most));
        let left = self.between(0.0, RESIZED.width as f32 - width);
        let top = self.between(0.0, RESIZED.height as f32 - height);
        BBox::new(left, top, left + width, top + height)
    }

    /// `count` boxes in heaps of ten, as detectors give them: around each object a first box, and
    /// nine more that are up to 16 pixels off at each edge.
    fn heaps(&mut self, count: usize) -> Vec<BBox> {
        const HEAP: usize = 10;
        const OFF: f32 = 16.0;
        let mut boxes = Vec::with_capacity(count + HEAP);
        while boxes.len() < count {
            let first = self.bbox(48.0, 320.0);
            boxes.push(first);
            for _ in 1..HEAP {
                let [left, top, right, bottom] = std::array::from_fn(|_| self.between(-OFF, OFF));
                let near = BBox::new(
                    first.x1 + left,
                    first.y1 + top,
                    first.x2 + right,
                    first.y2 + bottom,
                );
                boxes.push(near.clip(RESIZED));
            }
        }
        boxes.truncate(count);
        boxes
    }
}

/// Pools all proposals, one after the other, from one level of the pyramid.
///
/// Of the resolutions, 7 is the box head's and 14 the mask head's; of the channels, 96 are the
/// embedded network's and 256 torchvision's.
#[divan::bench(
    consts = [7, 14],
    args = [(300, 96), (300, 256), (1000, 96), (1000, 256)],
)]
fn roi_align<const RESOLUTION: usize>(bencher: Bencher, (proposals, channels): (usize, usize)) {
    let mut numbers = Numbers::new();
    let size = Size::new(RESIZED.height / STRIDE, RESIZED.width / STRIDE);
    let data = numbers.many(size.area() * channels, -1.0, 1.0);
    let map = FeatureMap {
        data: &data,
        size,
        channels,
    };
    let rois: Vec<BBox> = (0..proposals).map(|_| numbers.bbox(112.0, 224.0)).collect();
    let align = RoiAlign {
        resolution: RESOLUTION,
        sampling_ratio: 2,
    };
    let each = RESOLUTION * RESOLUTION * channels;
    let mut out = vec![0.0; proposals * each];
    bencher.counter(ItemsCount::new(proposals)).bench_local(|| {
        for (&roi, out) in rois.iter().zip(out.chunks_exact_mut(each)) {
            align.pool(black_box(map), roi, 1.0 / STRIDE as f32, out);
        }
        black_box(&mut out);
    });
}

/// Suppresses boxes within 5 groups, the levels of a pyramid, or 80, the classes of COCO.
///
/// 1000 boxes are the most that torchvision shifts apart and suppresses at once; of 5000 each group
/// is suppressed by itself.
#[divan::bench(args = [(1000, 5), (1000, 80), (5000, 5), (5000, 80)])]
fn nms(bencher: Bencher, (count, groups): (usize, usize)) {
    let mut numbers = Numbers::new();
    let boxes = numbers.heaps(count);
    let scores = numbers.many(count, 0.05, 1.0);
    // A heap is of one group, as the boxes of one object are.
    let groups: Vec<usize> = (0..count).map(|i| i / 10 % groups).collect();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        batched_nms(
            black_box(&boxes),
            black_box(&scores),
            black_box(&groups),
            NMS_THRESHOLD,
        )
    });
}

/// Decodes 1000 boxes, with the weights of torchvision's box head.
#[divan::bench]
fn decode_1000_boxes(bencher: Bencher) {
    const COUNT: usize = 1000;
    let mut numbers = Numbers::new();
    let coder = BoxCoder::new([10.0, 10.0, 5.0, 5.0]);
    let references: Vec<BBox> = (0..COUNT).map(|_| numbers.bbox(16.0, 512.0)).collect();
    let deltas: Vec<[f32; 4]> = (0..COUNT)
        .map(|_| std::array::from_fn(|_| numbers.between(-2.0, 2.0)))
        .collect();
    let mut decoded = Vec::with_capacity(COUNT);
    bencher.counter(ItemsCount::new(COUNT)).bench_local(|| {
        decoded.clear();
        let pairs = black_box(&deltas).iter().zip(black_box(&references));
        decoded.extend(pairs.map(|(&deltas, &reference)| coder.decode(deltas, reference)));
        black_box(&mut decoded);
    });
}

/// Pastes one mask, of an object half as wide and half as high as the image.
#[divan::bench(args = ["640x480", "4000x3000"])]
fn paste(bencher: Bencher, image: &str) {
    let (width, height) = image.split_once('x').expect("width x height");
    let number = |text: &str| text.parse().expect("a number of pixels");
    let size = Size::new(number(height), number(width));
    let (width, height) = (size.width as f32, size.height as f32);
    // Off the whole pixels, as boxes are.
    let bbox = BBox::new(
        0.25 * width + 0.3,
        0.25 * height + 0.6,
        0.75 * width + 0.1,
        0.75 * height + 0.8,
    );
    // A disc that fades out at its edge, and noise.
    let mut numbers = Numbers::new();
    let centre = (MASK_SIDE as f32 - 1.0) / 2.0;
    let probabilities: Vec<f32> = (0..MASK_SIDE * MASK_SIDE)
        .map(|i| {
            let (x, y) = ((i % MASK_SIDE) as f32, (i / MASK_SIDE) as f32);
            let inside = centre - (x - centre).hypot(y - centre);
            (0.5 + 0.25 * inside + numbers.between(-0.1, 0.1)).clamp(0.0, 1.0)
        })
        .collect();
    bencher.bench_local(|| paste_mask(black_box(&probabilities), MASK_SIDE, bbox, size));
}
