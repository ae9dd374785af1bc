//! The result for a smart contract: what its `receiveResult(bytes32, bytes)` gets as bytes.

use alloy_sol_types::{SolValue, sol};

use super::agreed::AgreedImage;

sol! {
    /// One object, in pixels of the image.
    struct Detection {
        uint16 categoryId;
        uint16 scoreBps;
        uint16 x;
        uint16 y;
        uint16 width;
        uint16 height;
    }

    /// What a contract decodes as four values.
    struct Data {
        uint8 status;
        bytes32 imageSha256;
        bytes32 weightsSha256;
        Detection[] detections;
    }
}

/// Most detections in callback data: a contract has 200,000 gas for all it does with them (iExec's
/// PoCo, `IexecConfigurationFacet.sol`).
const MAX_DETECTIONS: usize = 32;

/// `abi.encode(uint8 status, bytes32 imageSha256, bytes32 weightsSha256, Detection[])`, the surest
/// detections first.
///
/// `status` 0 is success. A sum that is not known, in hex, is zero. What is beyond 65535 pixels is
/// 65535.
pub fn encode(status: u8, weights: Option<&str>, image: Option<&AgreedImage>) -> Vec<u8> {
    let sum = |hex: Option<&str>| hex.and_then(|hex| hex.parse().ok()).unwrap_or_default();
    let detections: Vec<Detection> = image
        .iter()
        .flat_map(|image| &image.detections)
        .take(MAX_DETECTIONS)
        .map(|detection| {
            let [x1, y1, x2, y2] = detection.bbox;
            let short = |number: i64| u16::try_from(number.max(0)).unwrap_or(u16::MAX);
            Detection {
                categoryId: short(detection.category_id.into()),
                scoreBps: detection.hundredths * 100,
                x: short(x1),
                y: short(y1),
                width: short(x2 - x1),
                height: short(y2 - y1),
            }
        })
        .collect();
    let image = sum(image.map(|image| &*image.sha256));
    Data {
        status,
        imageSha256: image,
        weightsSha256: sum(weights),
        detections,
    }
    .abi_encode_params()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::iexec::agreed::AgreedDetection;

    #[derive(Deserialize)]
    struct Case {
        status: u8,
        image: String,
        weights: String,
        detections: Vec<[i64; 6]>,
        data: String,
    }

    fn image(sha256: &str, detections: &[[i64; 6]]) -> AgreedImage {
        let agreed = |&[category, score, x, y, width, height]: &[i64; 6]| AgreedDetection {
            label: "dog".to_owned(),
            category_id: category as u32,
            hundredths: (score / 100) as u16,
            bbox: [x, y, x + width, y + height],
        };
        let size = maskrcnn::Size::new(7, 9);
        AgreedImage::new(1, sha256, size, detections.iter().map(agreed))
    }

    #[test]
    fn the_bytes_are_those_of_eth_abi() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/fixtures/callback.json"))
                .expect("it is our file");
        assert_eq!(cases.len(), 4);
        for case in &cases {
            let data = encode(
                case.status,
                Some(&case.weights),
                Some(&image(&case.image, &case.detections)),
            );
            assert_eq!(
                data_encoding::HEXLOWER.encode(&data),
                case.data,
                "status {}",
                case.status
            );
        }
        // What was never known is zero, as in the last case.
        assert_eq!(
            data_encoding::HEXLOWER.encode(&encode(29, None, None)),
            cases[3].data
        );
    }

    #[test]
    fn at_most_32_detections_are_reported_and_those_are_the_first() {
        let many: Vec<[i64; 6]> = (0..40)
            .map(|n| [n + 1, 9900 - 100 * n, n, 1, 2, 3])
            .collect();
        assert_eq!(
            encode(0, None, Some(&image("", &many))),
            encode(0, None, Some(&image("", &many[..32])))
        );
        assert_ne!(
            encode(0, None, Some(&image("", &many))),
            encode(0, None, Some(&image("", &many[..31])))
        );
    }

    #[test]
    fn what_does_not_fit_16_bits_is_the_largest_that_does() {
        let beyond = encode(
            0,
            None,
            Some(&image("", &[[1, 100, 70_000, -3, 99_999, 65_536]])),
        );
        assert_eq!(
            beyond,
            encode(
                0,
                None,
                Some(&image("", &[[1, 100, 65_535, 0, 65_535, 65_535]]))
            )
        );
    }
}
