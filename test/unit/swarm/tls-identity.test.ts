/** The certificate that proves a PeerId. */
import { generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { endpointOfCertificate, tlsIdentity } from "../../../node/swarm/tls-identity.ts";
import { ed25519PrivateKey, rawPublicKey } from "../../../protocol/dsse.ts";
import { endpointIdOf } from "../../../protocol/ids.ts";

function certificateOf(seed: Uint8Array): X509Certificate {
  return new X509Certificate(tlsIdentity(seed).cert);
}

function endpointOf(seed: Uint8Array) {
  return endpointIdOf(rawPublicKey(ed25519PrivateKey(seed)));
}

/** Replaces one piece of a certificate by another of the same length. */
function withReplaced(raw: Buffer, from: Buffer, to: Buffer): Buffer {
  const forged = Buffer.from(raw);
  const at = forged.indexOf(from);
  expect(at).toBeGreaterThan(0);
  to.copy(forged, at);
  return forged;
}

describe("the TLS certificate of a node", () => {
  it("names the endpoint whose identity signed it", () => {
    const seed = randomBytes(32);

    const certificate = certificateOf(seed);

    expect(endpointOfCertificate(certificate.raw)).toBe(endpointOf(seed));
  });

  it("is a well-formed certificate that signs itself with its own key", () => {
    const certificate = certificateOf(randomBytes(32));

    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.subject).toBe("CN=branchline");
    expect(certificate.publicKey.asymmetricKeyType).toBe("ec");
  });

  it("holds a key that is not the identity and differs with every start", () => {
    const seed = randomBytes(32);

    const keys = [1, 2].map(() => tlsIdentity(seed).key);

    expect(keys[0]).not.toBe(keys[1]);
  });

  it("BR-3 refuses a certificate that claims another endpoint's identity", () => {
    const seed = randomBytes(32);
    const victim = rawPublicKey(ed25519PrivateKey(randomBytes(32)));
    const own = rawPublicKey(ed25519PrivateKey(seed));

    const forged = withReplaced(certificateOf(seed).raw, own, victim);

    expect(() => endpointOfCertificate(forged)).toThrow("the certificate of a peer");
  });

  it("BR-3 refuses a proof that was made for another certificate's key", () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const certificate = certificateOf(randomBytes(32));
    const mine = certificate.publicKey.export({ format: "der", type: "spki" });
    const other = publicKey.export({ format: "der", type: "spki" });

    const forged = withReplaced(certificate.raw, mine, other);

    expect(() => endpointOfCertificate(forged)).toThrow("the certificate of a peer");
  });

  it("refuses no certificate, one without the extension, and a cut extension", () => {
    const { raw } = certificateOf(randomBytes(32));
    const extension = raw.indexOf(Buffer.from("060a2b0601040183a25a0101", "hex"));
    const without = Buffer.from(raw);
    without[extension + 11] = 2;

    expect(() => endpointOfCertificate(undefined)).toThrow("the certificate of a peer");
    expect(() => endpointOfCertificate(without)).toThrow("the certificate of a peer");
    expect(() => endpointOfCertificate(raw.subarray(0, extension + 30))).toThrow(
      "the certificate of a peer",
    );
  });
});
