import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { hash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseJoinRequest, type CheckInAnswer, type Fleet } from "../../../protocol/check-in.ts";
import { openStatement, type Envelope } from "../../../protocol/dsse.ts";
import { parseDigest, publicKeyOf } from "../../../protocol/ids.ts";
import { ed25519PublicKey } from "../../../protocol/dsse.ts";
import { fleetPin, joinProof, joinTokenText } from "../../../protocol/join-token.ts";
import { parseReport, type JobReport, type RefusalReport } from "../../../protocol/report.ts";
import { BegunFragments } from "../../../node/content/begun-fragments.ts";
import { Journal } from "../../../node/content/journal.ts";
import { createCoordinatorClient } from "../../../node/uplink/coordinator-client.ts";
import { openIdentity, type Identity } from "../../../node/uplink/identity.ts";
import { joinFleet, readJoined } from "../../../node/uplink/join.ts";
import { createOrigin } from "../../../node/uplink/origin.ts";
import { Outbox } from "../../../node/uplink/outbox.ts";
import { Session } from "../../../node/uplink/session.ts";
import { memoryJournalFile } from "../../support/memory-journal-file.ts";
import { noise } from "../../support/noise.ts";

interface Seen {
  readonly line: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}
type Answer = (seen: Seen, response: ServerResponse) => void;

let server: Server;
let url: string;
let seen: Seen[];
let answer: Answer;
let dataDir: string;
const signal = new AbortController().signal;
const log = pino({ level: "silent" });
const fleet: Fleet = { v: 1, fleet: "0".repeat(16), catalogRoot: "{}", directorRoot: "{}" };
const secret = "ab".repeat(16);

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "branchline-uplink-"));
  seen = [];
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const sent = Buffer.concat(parts);
      const isPacked = request.headers["content-encoding"] === "zstd";
      const body = (isPacked ? zstdDecompressSync(sent) : sent).toString();
      const one = { line: `${request.method} ${request.url}`, headers: request.headers, body };
      seen.push(one);
      answer(one, response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function joinWith(pin: string) {
  return joinFleet({
    dataDir,
    coordinatorUrl: url,
    joinToken: joinTokenText({ pin, id: "01".repeat(8), secret }),
    identity: await openIdentity(dataDir),
    name: "pc1",
    localAddress: "127.0.0.9",
    nowMs: 1,
    signal,
  });
}

describe("joining", () => {
  it("SE-1 proves itself with the token's secret and keeps the fleet", async () => {
    const { endpoint } = await openIdentity(dataDir);
    answer = ({ line }, response) => {
      const joined = { endpoint, name: "pc1", site: "branch" };
      response.end(JSON.stringify(line === "GET /v1/fleet" ? fleet : joined));
    };

    const joined = await joinWith(fleetPin(fleet));

    const envelope = JSON.parse(seen[1]!.body) as Envelope;
    const key = ed25519PublicKey(publicKeyOf(endpoint));
    const { proof, ...rest } = openStatement("join", envelope, key, parseJoinRequest, 10_000);
    expect(proof).toBe(joinProof(secret, rest));
    expect(joined).toMatchObject({ name: "pc1", site: "branch", fleet });
    expect(await readJoined(dataDir)).toEqual(joined);
    expect((await stat(join(dataDir, "identity.json"))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(dataDir, "fleet.json"), "utf8")).not.toContain(secret);
  });

  it("sends nothing to a coordinator that the token's pin does not cover", async () => {
    answer = (_seen, response) => response.end(JSON.stringify(fleet));

    await expect(joinWith("0".repeat(32))).rejects.toMatchObject({ code: "FLEET_PIN_MISMATCH" });

    expect(seen.map((one) => one.line)).toEqual(["GET /v1/fleet"]);
    expect(await readJoined(dataDir)).toBeUndefined();
  });

  it("makes one identity and keeps it", async () => {
    const first = await openIdentity(dataDir);
    expect((await openIdentity(dataDir)).endpoint).toBe(first.endpoint);
  });
});

function session(renewed: CheckInAnswer["session"] = { bearer: "fresh", notAfterMs: 1 }): Session {
  const client = createCoordinatorClient({ url, fleet: {}, localAddress: undefined });
  const made = new Session(client);
  made.onRenew(async () => made.accept(renewed));
  return made;
}

async function opened(): Promise<BegunFragments> {
  return BegunFragments.open(
    join(dataDir, "begun"),
    () => false,
    () => 0,
  );
}

describe("requests", () => {
  it("SE-10 needs no inbound port: everything is asked by the node, from its own address", async () => {
    const client = createCoordinatorClient({ url, fleet: {}, localAddress: "127.0.0.9" });
    const from: (string | undefined)[] = [];
    server.on("request", (request: IncomingMessage) => from.push(request.socket.remoteAddress));
    answer = (_seen, response) => response.end("{}");

    const got = await client.request({ method: "GET", path: "/x", limitBytes: 10, signal });
    await client[Symbol.asyncDispose]();

    expect(got).toMatchObject({ kind: "answered" });
    expect(from).toEqual(["127.0.0.9"]);
  });

  it("refuses encoded and oversized bodies", async () => {
    const client = createCoordinatorClient({ url, fleet: {}, localAddress: undefined });
    const get = async () => client.request({ method: "GET", path: "/x", limitBytes: 10, signal });
    answer = (_seen, response) => response.setHeader("content-encoding", "br").end("x");
    await expect(get()).rejects.toMatchObject({ code: "DOCUMENT_INVALID" });
    answer = (_seen, response) => response.end("x".repeat(11));
    await expect(get()).rejects.toMatchObject({ code: "DOCUMENT_TOO_LARGE" });
    // Eleven bytes that arrive as more, and a frame that is none.
    const frame = zstdCompressSync(Buffer.alloc(1_000_000));
    answer = (_seen, response) => response.setHeader("content-encoding", "zstd").end(frame);
    await expect(get()).rejects.toMatchObject({ code: "DOCUMENT_TOO_LARGE" });
    answer = (_seen, response) => response.setHeader("content-encoding", "zstd").end("no frame");
    await expect(get()).rejects.toMatchObject({ code: "DOCUMENT_INVALID" });
    await client[Symbol.asyncDispose]();
    expect(seen[0]?.headers["accept-encoding"]).toBe("zstd");
  });

  it("asks for content as it is, and takes no other", async () => {
    const digest = parseDigest("cd".repeat(32));
    const client = createCoordinatorClient({ url, fleet: {}, localAddress: undefined });
    const get = async () =>
      client.request({ method: "GET", path: `/${digest}`, limitBytes: 99, lane: "bulk", signal });
    const frame = zstdCompressSync("x");
    answer = (_seen, response) => response.setHeader("content-encoding", "zstd").end(frame);
    await expect(get()).rejects.toMatchObject({ code: "DOCUMENT_INVALID" });
    await client[Symbol.asyncDispose]();
    expect(seen[0]?.headers["accept-encoding"]).toBe("identity");
  });

  it("calls a coordinator that is away unreachable, and one that says no refusing", async () => {
    const digest = parseDigest("cd".repeat(32));
    const origin = createOrigin(session(), url);
    answer = (_seen, response) => response.writeHead(503).end();
    await expect(origin.fragment(digest, "t", signal)).rejects.toMatchObject({
      code: "UPLINK_UNREACHABLE",
    });
    answer = (_seen, response) => response.writeHead(403).end();
    await expect(origin.fragment(digest, "t", signal)).rejects.toMatchObject({
      code: "UPLINK_REFUSED",
    });
  });

  it("goes on with a fragment where its transfer broke, also after a restart", async () => {
    const whole = noise(300_000, "begun");
    const digest = parseDigest(hash("sha256", whole, "hex"));
    const fetched = async (begun: BegunFragments) =>
      createOrigin(session(), url, undefined, begun).fragment(digest, "t", signal);
    let sentTo = 100_000;
    answer = ({ headers }, response) => {
      const from = Number(/bytes=(\d+)-/u.exec(headers.range ?? "")?.[1] ?? 0);
      response.writeHead(from === 0 ? 200 : 206, { "content-length": whole.length - from });
      const isEnd = sentTo >= whole.length;
      response.write(whole.subarray(from, sentTo), () => {
        if (isEnd) response.end();
        else setImmediate(() => response.destroy());
      });
    };
    const first = await opened();
    await expect(fetched(first)).rejects.toMatchObject({ code: "UPLINK_UNREACHABLE" });
    expect(createOrigin(session(), url, undefined, first).hasBegun?.(digest)).toBe(true);
    sentTo = 220_000;
    const second = await opened();
    await expect(fetched(second)).rejects.toMatchObject({ code: "UPLINK_UNREACHABLE" });
    sentTo = whole.length;

    const bytes = await fetched(await opened());

    expect(bytes.equals(whole)).toBe(true);
    const ranges = seen.map(({ headers }) => headers.range);
    expect(ranges[0]).toBeUndefined();
    // How much of what was sent arrived before the end did, the kernel knows.
    const starts = ranges.slice(1).map((range) => Number(range?.slice(6, -1)));
    expect(starts[0]).toBeGreaterThan(0);
    expect(starts[1]).toBeGreaterThanOrEqual(starts[0]!);
    expect(second.has(digest)).toBe(true);
    expect((await opened()).has(digest)).toBe(false);
  });

  it("begins anew where what was kept does not go with the rest, or has no rest", async () => {
    const whole = noise(1000, "begun");
    const digest = parseDigest(hash("sha256", whole, "hex"));
    const spoil = async () => {
      const begun = await opened();
      const transfer = await begun.transfer(digest);
      await transfer.came(Buffer.alloc(400), false);
      await transfer.broke();
      return createOrigin(session(), url, undefined, begun);
    };
    const ranged = (status: number, bytes: Buffer): void => {
      answer = ({ headers }, response) => {
        const isRanged = headers.range !== undefined;
        response.writeHead(isRanged ? status : 200).end(isRanged ? bytes : whole);
      };
    };
    ranged(206, whole.subarray(400));
    const spoiled = await spoil();
    await expect(spoiled.fragment(digest, "t", signal)).rejects.toMatchObject({
      code: "DOCUMENT_INVALID",
    });
    expect((await spoiled.fragment(digest, "t", signal)).equals(whole)).toBe(true);

    ranged(400, Buffer.alloc(0));
    const tooLong = await spoil();
    await expect(tooLong.fragment(digest, "t", signal)).rejects.toMatchObject({
      code: "UPLINK_REFUSED",
    });
    expect((await tooLong.fragment(digest, "t", signal)).equals(whole)).toBe(true);

    // A proxy that knows no ranges.
    ranged(200, whole);
    expect((await (await spoil()).fragment(digest, "t", signal)).equals(whole)).toBe(true);
    expect(await readdir(join(dataDir, "begun"))).toEqual([]);
  });

  it("renews a refused session once by a check-in and asks again", async () => {
    const made = session();
    made.accept({ bearer: "old", notAfterMs: 1 });
    const digest = parseDigest("cd".repeat(32));
    answer = ({ headers }, response) => {
      const isFresh = headers.authorization === "Bearer fresh";
      response.writeHead(isFresh ? 200 : 401).end(isFresh ? "bytes" : "");
    };

    const bytes = await createOrigin(made, url).fragment(digest, "lease-1", signal);

    expect(bytes.toString()).toBe("bytes");
    expect(seen.map((one) => one.headers.authorization)).toEqual(["Bearer old", "Bearer fresh"]);
    expect(seen[1]?.headers["x-branchline-lease"]).toBe("lease-1");
  });
});

function outboxOf(journal: Journal, { key }: Identity): Outbox {
  return new Outbox({
    journal,
    session: session(),
    url,
    key,
    log,
    now: () => 1,
    random: () => 0,
  });
}

describe("reports", () => {
  it("SE-17 are delivered after an outage, signed, and forgotten only when acknowledged", async () => {
    const identity = await openIdentity(dataDir);
    const file = memoryJournalFile();
    const journal = await Journal.open(file, log);
    const outbox = outboxOf(journal, identity);
    const report: RefusalReport = {
      kind: "refusal",
      id: "r1",
      endpoint: identity.endpoint,
      code: "TRUST_SIGNATURE",
      detail: "x",
      atMs: 1,
    };
    let outage = 2;
    const stop = new AbortController();
    answer = (_seen, response) => {
      if (outage-- > 0) return response.writeHead(503).end();
      response.end(JSON.stringify({ stored: ["r1"] }));
      return stop.abort();
    };

    await outbox.post(report);
    expect((await Journal.open(file.powerCut(), log)).state.outbox.size).toBe(1);
    const running = outbox.run(stop.signal);
    await running;

    expect(seen.length).toBe(3);
    const { reports } = JSON.parse(seen[2]!.body) as { reports: Envelope[] };
    const key = ed25519PublicKey(publicKeyOf(identity.endpoint));
    expect(openStatement("report", reports[0]!, key, parseReport, 10_000)).toEqual(report);
  });

  it("SE-17 that are only mentioned wait for what follows, and the newest of a job is told", async () => {
    const identity = await openIdentity(dataDir);
    const { endpoint } = identity;
    const journal = await Journal.open(memoryJournalFile(), log);
    const outbox = outboxOf(journal, identity);
    const stop = new AbortController();
    answer = (_seen, response) => {
      response.end(JSON.stringify({ stored: ["old", "new", "r1"] }));
      stop.abort();
    };
    const told = {
      kind: "job",
      endpoint,
      job: "j1",
      revision: "0".repeat(16),
      name: "acme/app",
      version: "1",
      purpose: "perform",
      attempt: 1,
      atMs: 1,
      trace: [],
      bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
    } as unknown as Omit<JobReport, "id" | "order" | "state">;
    const running = outbox.run(stop.signal);

    outbox.mention({ ...told, id: "old", order: 1, state: "waiting" });
    outbox.mention({ ...told, id: "new", order: 2, state: "downloading" });
    await new Promise(setImmediate);
    await outbox.post({ kind: "refusal", id: "r1", endpoint, code: "X_Y", detail: "", atMs: 1 });
    await running;

    expect(seen).toHaveLength(1);
    const { reports } = JSON.parse(seen[0]!.body) as { reports: Envelope[] };
    const key = ed25519PublicKey(publicKeyOf(endpoint));
    const ids = reports.map((one) => openStatement("report", one, key, parseReport, 10_000).id);
    expect(ids.toSorted()).toEqual(["new", "r1"]);
  });
});
