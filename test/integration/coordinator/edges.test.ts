/** What happens rarely: keys that are none, signatures near their end, transfers that break off. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readKeyFile } from "../../../coordinator/trust/key-file.ts";
import { signRenewal } from "../../../coordinator/trust/publisher.ts";
import { endpointIdOf, parseEndpointName } from "../../../protocol/ids.ts";
import { joinProof, parseJoinToken } from "../../../protocol/join-token.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../../protocol/limits.ts";
import type { Renewal } from "../../../protocol/operator-api.ts";
import { until } from "../../support/processes.ts";
import { directed, newFleet, type TestFleet } from "./fleet.ts";

let fleet: TestFleet;
beforeEach(async () => {
  fleet = await newFleet();
  await fleet.site("berlin", "10.1.0.0/16");
});
afterEach(async () => fleet[Symbol.asyncDispose]());

describe("a key of small order", () => {
  it("E8 joins nothing, although anybody's signature fits it", async () => {
    const token = parseJoinToken(await fleet.token("berlin"));
    const identity = Buffer.alloc(32);
    identity[0] = 1;
    const rest = {
      v: 1,
      endpoint: endpointIdOf(identity),
      name: parseEndpointName("ghost"),
      token: token.id,
      nonce: "0".repeat(32),
      timeMs: fleet.nowMs,
    } as const;
    const joining = { ...rest, proof: joinProof(token.secret, rest) };
    const body = {
      payload: canonicalBytes(joining).toString("base64"),
      payloadType: "application/vnd.branchline.join+json",
      signature: Buffer.concat([identity, Buffer.alloc(32)]).toString("base64"),
    };

    const answer = await fleet.call("POST", "/v1/join", { body });

    expect(answer).toMatchObject({ status: 403, body: { code: "JOIN_REFUSED" } });
  });
});

describe("the catalog's expiry", () => {
  it("is announced 30 days ahead, and renewed by the publisher alone", async () => {
    await fleet.publish("acme/app@1.0", [randomBytes(70_000)]);
    expect((await fleet.status()).notices).toEqual([]);
    fleet.nowMs += 151 * 86_400_000;
    expect((await fleet.status()).notices).toMatchObject([{ code: "CATALOG_EXPIRES_SOON" }]);

    const renewal = await fleet.operator<Renewal>("GET", "/v1/catalog/renewal");
    const offline = await readKeyFile(fleet.init.keysPath, "correct horse battery");
    const input = signRenewal(offline, renewal, fleet.nowMs);
    const forged = { ...input, targets: renewal.targets };
    const refused = await fleet.call("POST", "/v1/catalog/renewal", {
      body: forged,
      bearer: fleet.init.operatorToken,
    });
    expect(refused.status).not.toBe(200);
    expect(await fleet.operator("POST", "/v1/catalog/renewal", input)).toMatchObject({
      renewedCount: 2,
    });
    expect((await fleet.status()).notices).toEqual([]);
    fleet.nowMs += 180 * 86_400_000;
    expect((await fleet.status()).notices).toMatchObject([{ code: "CATALOG_EXPIRED" }]);
  });
});

describe("a transfer that breaks off", () => {
  it("is its holder's for one more second, then another may fetch the fragment", async () => {
    const [a, b] = [
      await fleet.join("a", "berlin", "10.1.0.1"),
      await fleet.join("b", "berlin", "10.1.0.2"),
    ];
    const { manifest } = await fleet.publish("acme/app@1.0", [
      randomBytes(FRAGMENT_WIRE_MAX_BYTES),
    ]);
    await fleet.activate("acme/app@1.0");
    await fleet.operator("POST", "/v1/deployments", {
      name: "acme/app",
      version: "1.0",
      target: { kind: "all" },
    });
    await a.checkIn();
    await b.checkIn();
    const { digest, token } = (await a.lease(manifest, [2])).body.grants[0]!;

    const going = request(`${fleet.url}/v1/fragments/${digest}`, {
      rejectUnauthorized: false,
      headers: { authorization: `Bearer ${a.bearer}`, "x-branchline-lease": token },
    });
    going.on("error", () => undefined).end();
    const [response] = (await once(going, "response")) as [IncomingMessage];
    response.on("error", () => undefined);
    going.destroy();

    expect((await b.lease(manifest, [2])).body.leased).toMatchObject([{ isServed: false }]);
    // Less than the life of a lease in all: only the broken transfer can have ended it.
    const granted = await until("the lease is free", 10_000, async () => {
      fleet.nowMs += 1000;
      const { grants } = (await b.lease(manifest, [2])).body;
      return grants.length > 0 || fleet.nowMs > 1_800_000_003_000 ? grants : undefined;
    });
    expect(granted).toHaveLength(1);
  });
});

describe("a DP's plan", () => {
  it("BR-1 follows an endpoint that moves to its site, and one that leaves", async () => {
    await fleet.site("hamburg", "10.2.0.0/16");
    const dp = await fleet.join("dp", "berlin", "10.1.0.1");
    const pc = await fleet.join("pc", "hamburg", "10.2.0.1");
    await fleet.operator("PUT", "/v1/endpoints/dp/dp", { isEnabled: true });
    await fleet.publish("acme/app@1.0", [randomBytes(70_000)]);
    await fleet.activate("acme/app@1.0");
    const target = { kind: "endpoint", name: "pc" };
    await fleet.operator("POST", "/v1/deployments", { name: "acme/app", version: "1.0", target });
    await pc.checkIn();
    expect(directed(await dp.checkIn())).toEqual({});

    pc.address = "10.1.0.9";
    await pc.checkIn();
    const replicated = directed(await dp.checkIn())["acme/app/1.0"];
    expect(replicated?.instructions).toMatchObject([{ purpose: "replicate" }]);
    expect((await dp.checkIn()).directive).toBeUndefined();
    pc.address = "10.2.0.1";
    await pc.checkIn();
    expect(directed(await dp.checkIn())).toEqual({});
  });
});

describe("what is said over the office line", () => {
  it("is packed for whoever asks, and as it is for anybody else", async () => {
    const plain = await said("GET", "/v1/fleet", {});
    const packed = await said("GET", "/v1/fleet", { "accept-encoding": "zstd" });

    expect(plain.headers["content-encoding"]).toBeUndefined();
    expect(packed.headers["content-encoding"]).toBe("zstd");
    expect(packed.body.length).toBeLessThan(plain.body.length);
    expect(zstdDecompressSync(packed.body)).toEqual(plain.body);
  });

  it("P1 P6 is taken packed, bounded by what it unpacks to, and in no other encoding", async () => {
    const wrong = Buffer.from(JSON.stringify({ payloadType: "x".repeat(1000) }));

    expect(await statusOf("zstd", zstdCompressSync(wrong))).toBe(400);
    expect(await statusOf("zstd", zstdCompressSync(Buffer.alloc(1_000_000, "[")))).toBe(413);
    expect(await statusOf("zstd", wrong)).toBe(400);
    expect(await statusOf("gzip", gzipSync(wrong))).toBe(400);
  });
});

interface Said {
  readonly status: number | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

async function statusOf(encoding: string, body: Buffer): Promise<number | undefined> {
  return (await said("POST", "/v1/check-in", { "content-encoding": encoding }, body)).status;
}

async function said(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: Buffer,
): Promise<Said> {
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const asked = request(`${fleet.url}${path}`, {
    method,
    headers: { ...type, ...headers },
    rejectUnauthorized: false,
  });
  asked.end(body);
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) };
}
