//! Stage by stage against torchvision's own run (`tests/reference/make_parity.py` makes the
//! fixtures).
//!
//! Every stage is fed with what the stages before it computed here, so that what is compared is the
//! whole way from the pixels. Each tolerance is relative to the largest expected value of its
//! stage, or absolute where a unit is given.

use std::collections::BTreeSet;

use image::RgbImage;
use tch::Tensor;

use super::*;
use crate::blueprint::Coordinates;
use crate::fixture::{Fixture, V1, difference, edges};

/// The resize is the same formula; only the order of two multiplications may differ. Measured:
/// 2e-7.
const INPUT: f32 = 5e-7;
/// fp32 convolutions of up to 4608 terms, folded and summed in another order, fifty layers deep.
/// Measured: 2.4e-6.
const FEATURES: f32 = 1e-5;
/// Logits, deltas and pooled features: the differences of the features times the gain of the heads.
/// Measured: 2.5e-5; torchvision itself moves by 4e-5 between ways of computing the same
/// (`tests/reference/measure_noise.py`).
const HEADS: f32 = 1e-4;
/// Proposals and detections in resized pixels, of up to 1333. Measured: 0.005.
const RESIZED: f32 = 0.02;
/// Objectness as a probability. Measured: 2e-6.
const OBJECTNESS: f32 = 1e-5;
/// Cells of small masks, as probabilities. Measured: 1.3e-4.
const MASKS: f32 = 4e-4;
/// The bars of the whole: original pixels, probability, intersection over union. Measured: 0.0008,
/// 3e-5, 0.9995.
const BOXES: f32 = 0.05;
const SCORES: f32 = 1e-4;
/// The same for detectron2, which itself moves its scores by 4e-5, its boxes by 0.005 and its masks by
/// 0.003 between ways of computing the same (`tests/reference/make_detectron2.py` prints it for these
/// pictures).
const SCORES_OF_DETECTRON2: f32 = 3e-4;
const MASK_IOU: f64 = 0.995;

/// The mask numbered `index`, of masks of this size packed bit by bit.
fn unpack(bits: &[u8], index: usize, size: Size) -> Mask {
    let stride = size.area().div_ceil(8);
    let row = &bits[index * stride..][..stride];
    let on = (0..size.area())
        .map(|pixel| row[pixel / 8] >> (7 - pixel % 8) & 1 == 1)
        .collect();
    Mask::new(size, 0, 0, size, on)
}

/// What an image must show for the comparison to mean something. The compact network is trained,
/// and finds what is there.
#[derive(Clone, Copy, Debug)]
struct Least {
    detections: usize,
    classes: usize,
}

/// Compares stages and remembers what was wrong, so that one run shows every stage that is off.
struct Comparison<'a> {
    fixture: &'a Fixture,
    image: &'a str,
    /// Whether it is detectron2 that is compared with.
    is_detectron2: bool,
    failures: Vec<String>,
}

impl Comparison<'_> {
    /// Values in row-major order of torchvision's shape against the fixture's sample of them.
    fn sample(&mut self, stage: &str, found: &Tensor, tolerance: f32) {
        let shape = self.fixture.integers(&format!("{stage}.shape"));
        assert_eq!(found.size(), shape, "{}: shape of {stage}", self.image);
        let index = Tensor::from_slice(&self.fixture.integers(&format!("{stage}.index")));
        let sampled = Vec::<f32>::try_from(found.reshape([-1]).index_select(0, &index)).unwrap();
        let expected = self.fixture.floats(&format!("{stage}.value"));
        self.values(stage, &sampled, &expected, tolerance);
    }

    /// Relative to the largest expected value.
    fn values(&mut self, stage: &str, found: &[f32], expected: &[f32], tolerance: f32) {
        let scale = expected
            .iter()
            .fold(0f32, |most, v| most.max(v.abs()))
            .max(1e-3);
        self.within(stage, found, expected, tolerance * scale);
    }

    fn within(&mut self, stage: &str, found: &[f32], expected: &[f32], most: f32) {
        assert_eq!(
            found.len(),
            expected.len(),
            "{}: number of {stage}",
            self.image
        );
        let apart = difference(found, expected);
        println!(
            "{:<10} {stage:<22} differs by {apart:.2e} of {most:.2e}",
            self.image
        );
        if apart > most {
            self.failures.push(format!(
                "{} {stage}: differs by {apart:e}, at most {most:e} expected",
                self.image
            ));
        }
    }

    fn boxes(&mut self, stage: &str, found: &[BBox], expected: &[BBox], most: f32) {
        self.within(stage, &edges(found), &edges(expected), most);
    }
}

/// Runs the network on the fixture's image and compares each stage.
fn compare(network: &MaskRcnn, name: &str, least: Least) -> Vec<String> {
    let _no_grad = tch::no_grad_guard();
    let fixture = Fixture::open(&format!("parity/{name}.safetensors"));
    let is_detectron2 = name.starts_with("detectron2");
    let image = if is_detectron2 {
        repeated(
            &fixture.image("image"),
            fixture.integers("repeat")[0] as u32,
        )
    } else {
        fixture.image("image")
    };
    let mut comparison = Comparison {
        fixture: &fixture,
        image: name,
        is_detectron2,
        failures: Vec::new(),
    };

    let Transformed { input, frame } = transform(&image, &network.blueprint.transform).unwrap();
    let space = Space::new(network.blueprint.coordinates, frame);
    let resized = match network.blueprint.coordinates {
        Coordinates::Edges => RESIZED,
        Coordinates::Normalised => RESIZED / frame.padded.width as f32,
    };
    assert_eq!(
        frame.resized,
        fixture.size("image_size"),
        "{name}: size after the resize"
    );
    comparison.sample("input", &input, INPUT);

    let features = network.backbone.forward(&input).unwrap();
    let pyramid = network.fpn.forward(&features).unwrap();
    for (stages, level) in [(&features, "c"), (&pyramid, "p")] {
        for (i, feature) in stages.iter().enumerate() {
            comparison.sample(&format!("{level}{}", i + 2), feature, FEATURES);
        }
    }

    let levels = network.rpn.head(&pyramid).unwrap();
    for (i, level) in levels.iter().enumerate() {
        let Size { height, width } = level.grid;
        // Back from [H, W, anchors, values] to torchvision's [1, anchors · values, H, W].
        let nchw = |values: &[f32]| {
            let shape = [
                1,
                height as i64,
                width as i64,
                (values.len() / level.grid.area()) as i64,
            ];
            Tensor::from_slice(values).view(shape).permute([0, 3, 1, 2])
        };
        comparison.sample(
            &format!("objectness.p{}", i + 2),
            &nchw(level.objectness.as_slice()),
            HEADS,
        );
        comparison.sample(
            &format!("deltas.p{}", i + 2),
            &nchw(level.deltas.as_slice()),
            HEADS,
        );
        let anchors = anchors::LevelAnchors::new(&network.blueprint.rpn, i, level.grid, space);
        let count = level.objectness.as_slice().len();
        let anchors: Vec<BBox> = (0..count).map(|index| anchors.get(index)).collect();
        comparison.sample(
            &format!("anchors.p{}", i + 2),
            &Tensor::from_slice(&edges(&anchors)).view([-1, 4]),
            0.0,
        );
    }

    let proposals = network.rpn.proposals(&levels, space).unwrap();
    let rois: Vec<BBox> = proposals.iter().map(|proposal| proposal.bbox).collect();
    let objectness: Vec<f32> = proposals
        .iter()
        .map(|proposal| proposal.objectness)
        .collect();
    // Matterport does not keep them.
    if fixture.has("proposal_scores") {
        let expected = fixture.floats("proposal_scores");
        if is_detectron2 {
            // Logits.
            comparison.values("proposal_scores", &objectness, &expected, HEADS);
        } else {
            comparison.within("proposal_scores", &objectness, &expected, OBJECTNESS);
        }
    }
    let order = same_order(&rois, &fixture.boxes("proposals"), resized);
    let proposals: Vec<_> = order.iter().map(|&i| proposals[i]).collect();
    let rois: Vec<BBox> = order.iter().map(|&i| rois[i]).collect();
    comparison.boxes("proposals", &rois, &fixture.boxes("proposals"), resized);

    let pooler = Pooler::new(&pyramid[..4], &frame, &network.blueprint.pooler).unwrap();
    let pooled_of = |name: &str, rois: &[BBox], align| {
        let chosen: Vec<BBox> = fixture.indices(name).into_iter().map(|i| rois[i]).collect();
        Vec::<f32>::try_from(pooler.pool(&chosen, align).unwrap().contiguous().view([-1])).unwrap()
    };
    let found = pooled_of("box_pool.roi", &rois, network.box_head.align);
    comparison.values("box_pool", &found, &fixture.floats("box_pool.value"), HEADS);

    let pooled = pooler.pool(&rois, network.box_head.align).unwrap();
    let (logits, deltas) = network.box_head.logits(&pooled).unwrap();
    comparison.sample("class_logits", &logits, HEADS);
    comparison.sample("box_regression", &deltas, HEADS);
    for (stage, found) in [
        ("class_logits.first", &logits),
        ("box_regression.first", &deltas),
    ] {
        let expected = fixture.floats(stage);
        let found = Vec::<f32>::try_from(found.reshape([-1])).unwrap();
        comparison.values(stage, &found[..expected.len()], &expected, HEADS);
    }

    let prediction = network.box_head.forward(&pooled).unwrap();
    let Blueprint {
        box_head,
        postprocess: rules,
        ..
    } = &network.blueprint;
    let classes = network.labels.slots();
    let boxes = postprocess(&proposals, &prediction, space, classes, box_head, rules);
    let slots: Vec<i64> = boxes.iter().map(|b| b.slot as i64).collect();
    assert_eq!(
        slots,
        fixture.integers("detections.labels"),
        "{name}: classes of the detections, in order"
    );
    let rois: Vec<BBox> = boxes.iter().map(|b| b.bbox).collect();
    comparison.boxes(
        "boxes_resized",
        &rois,
        &fixture.boxes("detections.boxes_resized"),
        resized,
    );
    let found = pooled_of("mask_pool.roi", &rois, network.mask_head.align);
    comparison.values(
        "mask_pool",
        &found,
        &fixture.floats("mask_pool.value"),
        HEADS,
    );
    let masks = network.masks(&pooler, &boxes).unwrap();
    comparison.within(
        "mask_probabilities",
        masks.as_slice(),
        &fixture.floats("mask_probabilities"),
        MASKS,
    );

    detections(network, &image, least, &mut comparison);
    comparison.failures
}

/// The picture with each pixel repeated so often along both sides.
fn repeated(image: &RgbImage, times: u32) -> RgbImage {
    RgbImage::from_fn(image.width() * times, image.height() * times, |x, y| {
        *image.get_pixel(x / times, y / times)
    })
}

/// Where each expected proposal stands among those found. Neighbours whose objectness differs by
/// less than its rounding may have changed places; a proposal that is found only here, or only
/// there, is left for the comparison to show.
fn same_order(found: &[BBox], expected: &[BBox], most: f32) -> Vec<usize> {
    const NEIGHBOURHOOD: usize = 4; // ranks; a thousand objectness values lie 1e-3 apart on average
    assert_eq!(found.len(), expected.len(), "number of proposals");
    let near = |a: BBox, b: BBox| {
        (a.x1 - b.x1)
            .abs()
            .max((a.y1 - b.y1).abs())
            .max((a.x2 - b.x2).abs())
            .max((a.y2 - b.y2).abs())
            <= most
    };
    let place = |(rank, &bbox): (usize, &BBox)| {
        let ranks = rank.saturating_sub(NEIGHBOURHOOD)..(rank + NEIGHBOURHOOD + 1).min(found.len());
        ranks
            .clone()
            .find(|&i| near(found[i], bbox))
            .unwrap_or(rank)
    };
    expected.iter().enumerate().map(place).collect()
}

/// The bars of the whole, through the public face, at the model's own score floor.
fn detections(network: &MaskRcnn, image: &RgbImage, least: Least, comparison: &mut Comparison) {
    let fixture = comparison.fixture;
    let options = SegmentOptions {
        score_threshold: network.blueprint.postprocess.score_thresh,
        ..SegmentOptions::default()
    };
    let found = network.segment(image, &options).unwrap();
    let classes: BTreeSet<u32> = found.iter().map(|d| d.category_id).collect();
    let counted = Least {
        detections: found.len(),
        classes: classes.len(),
    };
    println!("{:<10} {counted:?}", comparison.image);
    assert!(
        counted.detections >= least.detections && counted.classes >= least.classes,
        "{}: {counted:?} are too few to compare",
        comparison.image
    );
    let boxes: Vec<BBox> = found.iter().map(|d| d.bbox).collect();
    let scores: Vec<f32> = found.iter().map(|d| d.score).collect();
    comparison.boxes(
        "detections.boxes",
        &boxes,
        &fixture.boxes("detections.boxes"),
        BOXES,
    );
    comparison.within(
        "detections.scores",
        &scores,
        &fixture.floats("detections.scores"),
        if comparison.is_detectron2 {
            SCORES_OF_DETECTRON2
        } else {
            SCORES
        },
    );
    let bits = fixture.bytes("masks.bits");
    let size = Size::new(image.height() as usize, image.width() as usize);
    // The fixtures of large pictures have some of the masks.
    let kept = bits.len() / size.area().div_ceil(8);
    assert!(kept == found.len() || comparison.is_detectron2 && kept > 0);
    let worst = found
        .iter()
        .take(kept)
        .enumerate()
        .map(|(i, detection)| detection.mask.iou(&unpack(&bits, i, size)))
        .fold(1.0, f64::min);
    println!(
        "{:<10} masks overlap by at least {worst:.5}",
        comparison.image
    );
    if worst < MASK_IOU {
        comparison.failures.push(format!(
            "{} masks: overlap {worst}, at least {MASK_IOU} expected",
            comparison.image
        ));
    }
}

fn assert_parity(network: &MaskRcnn, names: &[&str], least: Least) {
    let failures: Vec<String> = names
        .iter()
        .flat_map(|name| compare(network, name, least))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn v1_computes_what_torchvision_computes_at_every_stage() {
    let network = MaskRcnn::new(
        Weights::from_bytes(V1::new().checkpoint()).unwrap(),
        Device::Cpu,
    )
    .unwrap();
    assert_parity(
        &network,
        &["v1-1", "v1-2", "v1-3"],
        Least {
            detections: 30,
            classes: 5,
        },
    );
}

/// Compares a relative of v1 that the formula fills.
fn assert_relative_parity(network: &str, names: &[&str]) {
    let weights = Weights::from_bytes(V1::relative(network).checkpoint()).unwrap();
    let network = MaskRcnn::new(weights, Device::Cpu).unwrap();
    let least = Least {
        detections: 30,
        classes: 5,
    };
    assert_parity(&network, names, least);
}

#[test]
fn v2_computes_what_torchvision_computes_at_every_stage() {
    assert_relative_parity("v2", &["v2-1", "v2-2"]);
}

#[test]
fn trained_norms_with_weak_channels_have_their_epsilon() {
    let mut trained = V1::new();
    let counter = "backbone.body.bn1.num_batches_tracked";
    trained.0.insert(counter.to_owned(), vec![]);
    // As `tests/reference/networks.py`, `build_trained`, does it.
    let checkpoint = trained.checkpoint_changed(|name, values| {
        let is_norm = name.contains(".bn") || name.contains(".downsample.1.");
        let factor = match name.rsplit('.').next() {
            Some("running_var") => 1e-4,
            Some("weight") if is_norm => 1e-2,
            _ => return,
        };
        let every_fourth = values.iter_mut().step_by(4);
        every_fourth.for_each(|value| *value *= factor);
    });
    let network = MaskRcnn::new(Weights::from_bytes(checkpoint).unwrap(), Device::Cpu).unwrap();
    let least = Least {
        detections: 30,
        classes: 5,
    };
    assert_parity(&network, &["trained-1"], least);
}

#[test]
fn other_resnets_compute_what_torchvision_computes() {
    for network in ["resnet18", "resnext50_32x4d", "wide_resnet50_2"] {
        assert_relative_parity(network, &[&format!("{network}-1")]);
    }
}

#[test]
fn compact_computes_what_torchvision_computes_at_every_stage() {
    let network = MaskRcnn::new(Weights::embedded().unwrap(), Device::Cpu).unwrap();
    assert_parity(
        &network,
        &["compact-1", "compact-2", "compact-3", "compact-4"],
        Least {
            detections: 10,
            classes: 3,
        },
    );
}

#[test]
fn detectron2_is_computed_as_it_computes_at_every_stage() {
    let weights = Weights::from_bytes(crate::fixture::detectron2()).unwrap();
    assert_eq!(weights.family(), "detectron2");
    let network = MaskRcnn::new(weights, Device::Cpu).unwrap();
    assert_parity(
        &network,
        &["detectron2-r50-1", "detectron2-r50-2", "detectron2-r50-3"],
        Least {
            detections: 30,
            classes: 5,
        },
    );
}

/// Matterport rounds boxes to whole pixels: these are equal.
#[test]
fn matterport_is_computed_as_it_computes_at_every_stage() {
    let weights = Weights::from_bytes(crate::fixture::matterport()).unwrap();
    assert_eq!(weights.family(), "matterport");
    let path = crate::fixture::fixture_path("parity/matterport-blueprint.json");
    let blueprint = std::fs::read_to_string(path).unwrap();
    let weights = weights.with_blueprint(blueprint.as_bytes()).unwrap();
    let network = MaskRcnn::new(weights, Device::Cpu).unwrap();
    assert_parity(
        &network,
        &["matterport-1", "matterport-2", "matterport-3"],
        Least {
            detections: 15,
            classes: 5,
        },
    );
}
