/** Laws of the trust room: what one damaged byte can do, and that what is printed can be read. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { TrustStore } from "../../../node/trust/trust-store.ts";
import type { CheckInAnswer, MetadataFiles } from "../../../protocol/check-in.ts";
import { signStatement, openStatement } from "../../../protocol/dsse.ts";
import { canonicalText } from "../../../protocol/json.ts";
import { keyOfSeed } from "../../../coordinator/trust/fleet-keys.ts";
import { ed25519PublicKey, rawPublicKey } from "../../../protocol/dsse.ts";
import { FleetFixture, manifestOf, tempDir } from "../../unit/trust/fleet-fixture.ts";

const anyText = fc.string({ unit: "binary", maxLength: 8 });
/** Half of its characters are control characters or need an escape. */
const asciiText = fc.string({ unit: "binary-ascii", maxLength: 12 });

type Flip = (text: string) => string;

function flipAt(share: number, mask: number): Flip {
  return (text) => {
    const bytes = Buffer.from(text, "utf8");
    const at = Math.min(Math.floor(share * bytes.length), bytes.length - 1);
    bytes[at] = (bytes[at] ?? 0) ^ mask;
    return bytes.toString("utf8");
  };
}

/** One flip for every text that an answer carries. */
function places(answer: CheckInAnswer): readonly ((flip: Flip) => CheckInAnswer)[] {
  const inFiles = (part: "directive" | "catalog") =>
    Object.entries<string>(answer[part] ?? {}).map(([name, text]) => (flip: Flip) => {
      const files: MetadataFiles = { ...answer[part], [name]: flip(text) };
      return { ...answer, [part]: files };
    });
  const inEnvelopes = (part: "freshness" | "roster" | "membership") =>
    (["payloadType", "payload", "signature"] as const).map((field) => (flip: Flip) => {
      const envelope = answer[part]!;
      return { ...answer, [part]: { ...envelope, [field]: flip(envelope[field]) } };
    });
  return [
    ...inFiles("directive"),
    ...inFiles("catalog"),
    ...inEnvelopes("freshness"),
    ...inEnvelopes("roster"),
    ...inEnvelopes("membership"),
  ];
}

it("BR-2: one flipped byte anywhere in an answer never leads to other instructions", async () => {
  await using dir = await tempDir();
  await using store = await TrustStore.open(dir.path);
  const fleet = new FleetFixture();
  const app = manifestOf("app", "1.0.0");
  fleet.publish(app);
  await store.pin(fleet.trust.fleet);
  const answer = fleet.answer([app]);
  const all = places(answer);
  const expected = "acme/app/1.0.0";
  let refused = 0;

  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: all.length - 1 }),
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      fc.integer({ min: 1, max: 255 }),
      async (place, share, mask) => {
        const held = JSON.stringify(store.held());

        const result = await fleet.accept(store, all[place]!(flipAt(share, mask)));

        if (result.kind === "accepted") {
          expect(result.instructions.map(({ targetPath }) => targetPath)).toEqual([expected]);
          expect(result.instructions).toMatchObject([{ manifestDigest: fleet.entry(app).sha256 }]);
        } else {
          refused++;
          expect(JSON.stringify(store.held())).toBe(held);
        }
      },
    ),
    { numRuns: 80 },
  );

  expect(refused).toBeGreaterThan(50);
  expect(await fleet.accept(store, answer)).toMatchObject({ kind: "accepted" });
}, 20_000);

it("parse(print(x)) = x for canonical JSON and for statements, also with control characters", () => {
  const seed = "07".repeat(32);
  const key = keyOfSeed(seed);
  const publicKey = ed25519PublicKey(rawPublicKey(key));

  fc.assert(
    fc.property(fc.dictionary(anyText, asciiText, { maxKeys: 4 }), (value) => {
      expect({ ...(JSON.parse(canonicalText(value)) as object) }).toEqual({ ...value });
      const envelope = signStatement("report", value, key);
      expect(openStatement("report", envelope, publicKey, (opened) => opened, 1_000_000)).toEqual({
        ...value,
      });
    }),
    { numRuns: 50 },
  );
});
