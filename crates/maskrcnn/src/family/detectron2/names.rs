//! Which tensor of detectron2's is which of torchvision's.

/// torchvision's name of a tensor of detectron2's; other names stay.
///
/// detectron2 `modeling/backbone/resnet.py` and `fpn.py`, `modeling/proposal_generator/rpn.py`,
/// `modeling/roi_heads/box_head.py` and `mask_head.py`.
pub(super) fn canonical_name(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let renamed = match *parts {
        ["backbone", "bottom_up", "stem", "conv1", ref rest @ ..] => {
            layer("1", rest).map(|layer| format!("backbone.body.{layer}"))
        }
        ["backbone", "bottom_up", stage, block, part, ref rest @ ..] => {
            block_of(stage, block, part, rest)
        }
        ["backbone", part, parameter] => pyramid(part, parameter),
        ["proposal_generator", "rpn_head", "conv", parameter] => {
            Some(format!("rpn.head.conv.0.0.{parameter}"))
        }
        // Several convolutions, `CONV_DIMS`.
        ["proposal_generator", "rpn_head", "conv", part, parameter] => {
            numbered(part, "conv").map(|number| format!("rpn.head.conv.{number}.0.{parameter}"))
        }
        [
            "proposal_generator",
            "rpn_head",
            "objectness_logits",
            parameter,
        ] => Some(format!("rpn.head.cls_logits.{parameter}")),
        ["proposal_generator", "rpn_head", "anchor_deltas", parameter] => {
            Some(format!("rpn.head.bbox_pred.{parameter}"))
        }
        ["roi_heads", "box_head", part, parameter] => numbered(part, "fc")
            .map(|number| format!("roi_heads.box_head.fc{}.{parameter}", number + 5)),
        ["roi_heads", "mask_head", "deconv", parameter] => {
            Some(format!("roi_heads.mask_predictor.conv5_mask.{parameter}"))
        }
        ["roi_heads", "mask_head", "predictor", parameter] => Some(format!(
            "roi_heads.mask_predictor.mask_fcn_logits.{parameter}"
        )),
        ["roi_heads", "mask_head", part, parameter] => {
            let number = numbered(part, "mask_fcn").and_then(|number| number.checked_sub(1));
            number.map(|number| format!("roi_heads.mask_head.{number}.0.{parameter}"))
        }
        _ => None,
    };
    renamed.unwrap_or_else(|| name.to_owned())
}

/// A convolution's parameter, or one of the norm that detectron2 keeps inside of it.
fn layer(number: &str, rest: &[&str]) -> Option<String> {
    match *rest {
        [parameter] => Some(format!("conv{number}.{parameter}")),
        ["norm", parameter] => Some(format!("bn{number}.{parameter}")),
        _ => None,
    }
}

/// A parameter of a bottleneck, stages being counted from the second.
fn block_of(stage: &str, block: &str, part: &str, rest: &[&str]) -> Option<String> {
    let number = numbered(stage, "res")?.checked_sub(1)?;
    let layer = match (part, rest) {
        ("shortcut", [parameter]) => format!("downsample.0.{parameter}"),
        ("shortcut", ["norm", parameter]) => format!("downsample.1.{parameter}"),
        _ => layer(part.strip_prefix("conv")?, rest)?,
    };
    Some(format!("backbone.body.layer{number}.{block}.{layer}"))
}

/// A parameter of the pyramid, whose levels are counted from the second.
fn pyramid(part: &str, parameter: &str) -> Option<String> {
    let (blocks, level) = match numbered(part, "fpn_lateral") {
        Some(level) => ("inner_blocks", level),
        None => ("layer_blocks", numbered(part, "fpn_output")?),
    };
    let level = level.checked_sub(2)?;
    Some(format!("backbone.fpn.{blocks}.{level}.0.{parameter}"))
}

/// The number behind a word, small enough to count with.
fn numbered(part: &str, word: &str) -> Option<u32> {
    let digits = part.strip_prefix(word)?;
    let is_number = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which tensor is which, as the scripts have it that fill the reference (`detectron2_networks.py`).
    #[test]
    fn every_tensor_gets_torchvisions_name() {
        let layout = include_str!("../../../../../tests/fixtures/parity/detectron2-r50.tsv");
        for line in layout.lines() {
            let mut fields = line.split('\t');
            let (name, expected) = (fields.next().unwrap(), fields.next().unwrap());
            assert_eq!(canonical_name(name), expected);
        }
        assert_eq!(layout.lines().count(), 307);
    }

    #[test]
    fn names_that_are_none_of_its_own_stay() {
        for name in [
            "backbone.bottom_up.res1.0.conv1",
            "backbone.bottom_up.res99999.0.conv1.weight",
            "backbone.bottom_up.resx.0.conv1.weight",
            "backbone.fpn_output1.weight",
            "roi_heads.mask_head.mask_fcn0.weight",
            "roi_heads.box_head.fc.weight",
            "pixel_mean",
            "",
        ] {
            assert_eq!(canonical_name(name), name);
        }
    }
}
