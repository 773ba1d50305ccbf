/**
 * Ed25519 public keys of small order: anybody can make signatures that verify under them (trust E8).
 * Checked where a key enters: at enrolment and in every root.
 */

// Encodings of the points of order 1, 2, 4 and 8, also the non-canonical ones, without the sign bit.
const SMALL_ORDER_HEX: ReadonlySet<string> = new Set([
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
]);

/** Whether 32 raw bytes are such a key. */
export function isSmallOrderKey(publicKey: Uint8Array): boolean {
  const bytes = Buffer.from(publicKey);
  const last = bytes.at(-1);
  if (bytes.length !== 32 || last === undefined) return false;
  bytes[31] = last & 0x7f;
  return SMALL_ORDER_HEX.has(bytes.toString("hex"));
}
