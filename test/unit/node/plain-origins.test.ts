/** The origin of a node with plain HTTPS origins, over a memory gate and memory servers. */
import { hash } from "node:crypto";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import type { Refusal } from "../../../node/content/ports.ts";
import type { PlainAnswer } from "../../../node/uplink/plain-client.ts";
import { PlainOrigins } from "../../../node/uplink/plain-origins.ts";
import { DeployError } from "../../../protocol/errors.ts";
import { parseDigest, type Digest } from "../../../protocol/ids.ts";
import type { LeaseRequest } from "../../../protocol/lease.ts";
import type { PlainFetch } from "../../../protocol/plain-origin.ts";

const manifest = parseDigest("a".repeat(64));
const content = [0, 1, 2, 3].map((index) => Buffer.from(`fragment ${index}`));
const digests = content.map((bytes) => parseDigest(hash("sha256", bytes, "hex")));
const never = new AbortController().signal;
const cdn = { url: "https://cdn.example/fleet" };
const spare = { url: "https://spare.example" };

class World {
  nowMs = 1000;
  origins = [cdn];
  isBackground = false;
  partCount = 1;
  /** What a part takes on the line. */
  partMs = 0;
  isGateAway = false;
  hasGateForgotten = false;
  /** What a plain origin answers; by default the right bytes. */
  answer: (url: string, bytes: Buffer) => PlainAnswer = (_url, bytes) => {
    return { kind: "answered", bytes };
  };
  readonly asked: string[] = [];
  readonly fromCoordinator: Digest[] = [];
  readonly words: PlainFetch[] = [];
  readonly refusals: Refusal[] = [];
  readonly wasted: number[] = [];
  readonly node: PlainOrigins;

  constructor() {
    this.node = new PlainOrigins({
      coordinator: {
        lease: async (request) => this.#lease(request),
        fragment: async (digest) => {
          this.fromCoordinator.push(digest);
          return bytesOf(digest);
        },
      },
      client: {
        get: async ({ origin, digest, token, onPart }) => {
          this.asked.push(`${origin.url} ${token}`);
          const answer = this.answer(origin.url, bytesOf(digest));
          for (let part = 0; part < this.partCount; part++) {
            if (answer.kind === "answered") await onPart(answer.bytes.length / this.partCount);
            this.nowMs += this.partMs;
            await told();
          }
          return answer;
        },
        [Symbol.asyncDispose]: async () => undefined,
      },
      origins: () => this.origins,
      lineBytesPerSec: () => undefined,
      manners: {
        download: async () => undefined,
        wasted: (_kind, sizeBytes) => this.wasted.push(sizeBytes),
      },
      onRefusal: (refusal) => this.refusals.push(refusal),
      log: pino({ level: "silent" }),
      nowMs: () => this.nowMs,
    });
  }

  async granted(...want: number[]): Promise<void> {
    await this.node.lease({ manifest, want, release: [] }, never);
  }

  async fetched(index: number): Promise<Buffer> {
    return this.node.fragment(digests[index]!, `token ${index}`, never);
  }

  #lease({ want, plain = [] }: LeaseRequest) {
    if (this.isGateAway) throw new DeployError("UPLINK_UNREACHABLE", { url: "-", problem: "-" });
    this.words.push(...plain);
    return {
      grants: want.map((index) => {
        return { index, digest: digests[index]!, token: `token ${index}`, ttlMs: 600_000 };
      }),
      leased: [],
      retryAfterMs: 0,
      ...(this.isBackground ? { isBackground: true } : {}),
      ...(this.hasGateForgotten ? { lapsed: plain.map(({ index }) => index) } : {}),
    };
  }
}

function bytesOf(digest: Digest): Buffer {
  return content[digests.indexOf(digest)]!;
}

/** All words that can be said are said. */
async function told(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("plain origins of a node", () => {
  let world = new World();

  afterEach(async () => {
    world.isGateAway = false;
    await world.node[Symbol.asyncDispose]();
    world = new World();
  });

  it("give a leased fragment for its token, and the gate hears that it is done", async () => {
    await world.granted(1);
    const bytes = await world.fetched(1);
    await told();

    expect(bytes).toEqual(content[1]);
    expect(world.asked).toEqual(["https://cdn.example/fleet token 1"]);
    expect(world.fromCoordinator).toEqual([]);
    expect(world.words.at(-1)).toEqual({
      index: 1,
      origin: cdn.url,
      outcome: "done",
      wastedBytes: 0,
    });
  });

  it("are never asked without a lease", async () => {
    await world.granted(1);
    await world.fetched(2);
    await world.node.fragment(digests[3]!, "token 1", never);

    expect(world.asked).toEqual([]);
    expect(world.fromCoordinator).toEqual([digests[2], digests[3]]);
  });

  it("are never asked with a lease that the gate may have given away meanwhile", async () => {
    await world.granted(1, 2);
    await world.fetched(1);
    await told();
    world.nowMs += 3501;
    await world.fetched(2);

    expect(world.asked).toHaveLength(1);
    expect(world.fromCoordinator).toEqual([digests[2]]);
  });

  it("are asked on while the gate hears of what flows", async () => {
    await world.granted(0, 1, 2, 3);
    for (const index of [0, 1, 2, 3]) {
      await world.fetched(index);
      await told();
      world.nowMs += 2500;
    }

    expect(world.asked).toHaveLength(4);
    expect(world.words.filter(({ outcome }) => outcome === "done")).toHaveLength(4);
  });

  it("keep the leases on a slow line: the gate hears every second that bytes flow", async () => {
    Object.assign(world, { partCount: 24, partMs: 500 });
    await world.granted(1, 2);
    await world.fetched(1);
    await world.fetched(2);
    const flowing = world.words.filter(({ outcome }) => outcome === "flowing");

    // 12 seconds each: longer than a lease lives without a word.
    expect(world.asked).toHaveLength(2);
    expect(flowing.length).toBeGreaterThanOrEqual(22);
    expect(flowing.length).toBeLessThanOrEqual(26);
  });

  it("are not asked on after the gate has forgotten the leases", async () => {
    await world.granted(1, 2);
    world.hasGateForgotten = true;
    await world.fetched(1);
    await told();
    await world.fetched(2);

    expect(world.asked).toHaveLength(1);
    expect(world.fromCoordinator).toEqual([digests[2]]);
  });

  it("that send other bytes are passed by: the bytes are dropped, counted and told", async () => {
    world.answer = () => ({ kind: "answered", bytes: Buffer.from("rotten") });
    await world.granted(1, 2);
    const bytes = await world.fetched(1);
    await world.fetched(2);
    await told();

    expect(bytes).toEqual(content[1]);
    expect(world.asked).toHaveLength(1);
    expect(world.fromCoordinator).toEqual([digests[1], digests[2]]);
    expect(world.words.find(({ outcome }) => outcome === "corrupt")?.wastedBytes).toBe(6);
    expect(world.wasted).toEqual([6]);
    expect(world.refusals.map(({ code }) => code)).toEqual(["EXCHANGE_FRAGMENT_CORRUPT"]);
  });

  it.each(["unreachable", "absent", "refused", "broken"] as const)(
    "that fail (%s) are followed by the next one, then by the coordinator",
    async (problem) => {
      world.origins = [cdn, spare];
      world.answer = (url, bytes) =>
        url === cdn.url ? { kind: "failed", problem, detail: "-" } : { kind: "answered", bytes };
      await world.granted(1, 2);
      await world.fetched(1);
      world.answer = () => ({ kind: "failed", problem, detail: "-" });
      await world.fetched(2);
      await told();

      expect(world.asked).toEqual([
        "https://cdn.example/fleet token 1",
        "https://spare.example token 1",
        "https://spare.example token 2",
      ]);
      expect(world.fromCoordinator).toEqual([digests[2]]);
      const outcomes = world.words.map(({ outcome }) => outcome);
      expect(outcomes.filter((outcome) => outcome !== "flowing")).toEqual([
        problem,
        "done",
        problem,
      ]);
    },
  );

  it("are not asked where packages give way to other traffic: only the coordinator measures", async () => {
    world.isBackground = true;
    await world.granted(1);
    await world.fetched(1);

    expect(world.asked).toEqual([]);
  });

  it("that gave while the gate was away are told of when the node stops", async () => {
    await world.granted(1);
    world.isGateAway = true;
    await world.fetched(1);
    await told();
    const before = world.words.length;
    world.isGateAway = false;
    await world.node[Symbol.asyncDispose]();

    expect(before).toBe(0);
    expect(world.words.map(({ outcome }) => outcome)).toContain("done");
  });
});
