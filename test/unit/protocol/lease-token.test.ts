import { describe, expect, it } from "vitest";
import { ed25519PrivateKey, rawPublicKey } from "../../../protocol/dsse.ts";
import { endpointIdOf, parseDigest } from "../../../protocol/ids.ts";
import { leaseToken, leaseTokenHolder, signedLeaseToken } from "../../../protocol/lease.ts";
import { leaseHolder } from "../../support/static-origin.ts";

const secret = Buffer.alloc(32, 5);
const key = ed25519PrivateKey(Buffer.alloc(32, 7));
const tokenKey = rawPublicKey(key).toString("base64url");
const digest = parseDigest("ab".repeat(32));
const holder = endpointIdOf(Buffer.alloc(32, 9));
const expiresMs = 1_800_000_600_000;
const token = signedLeaseToken(leaseToken(secret, digest, holder, expiresMs), digest, key);

describe("a lease token for plain origins", () => {
  it("has the released form", () => {
    expect(tokenKey).toBe("6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw");
    expect(token).toBe(
      "1800000600000.12D3KooWARdq2qmoWawXfhkzZHgcPg2hgkwT6GFrzGMvuQZHcwdJ.XLPPN2oAMfEkgJb8ApjrWy.C5bhXcYxAH_3Gi-kES33nGcHaUq1mF_-gjZ3CIiKMEbkr4s37RBxPbgB6h-8q9-wWpnvp88j86b_BwblO4BGBg",
    );
    expect(token.length).toBeLessThanOrEqual(200);
  });

  it("is checked by the coordinator as before, and by an edge that has the public key alone", async () => {
    expect(leaseTokenHolder(secret, digest, token, expiresMs - 1)).toBe(holder);
    expect(await leaseHolder(tokenKey, digest, token, expiresMs - 1)).toBe(holder);
  });

  it("is refused by an edge for another fragment, another holder, a later end, and when it has ended", async () => {
    const [end = "", , mac = "", signature = ""] = token.split(".");
    const other = endpointIdOf(Buffer.alloc(32, 8));
    const forged = [
      leaseHolder(tokenKey, "cd".repeat(32), token, 0),
      leaseHolder(tokenKey, digest, [end, other, mac, signature].join("."), 0),
      leaseHolder(tokenKey, digest, [expiresMs + 1, holder, mac, signature].join("."), 0),
      leaseHolder(tokenKey, digest, token, expiresMs),
      leaseHolder(tokenKey, digest, leaseToken(secret, digest, holder, expiresMs), 0),
      leaseHolder(tokenKey, digest, "", 0),
    ];

    expect(await Promise.all(forged)).toEqual(forged.map(() => undefined));
  });
});
