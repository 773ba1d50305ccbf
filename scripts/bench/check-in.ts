/**
 * Check-ins per second of the real coordinator: 10,000 registered endpoints in LevelDB, 100 sites, kept
 * HTTPS connections, nothing new for anybody. Beside it, in the same run and from the same sender, a bare
 * node:https server that answers 200; both run in processes of their own, whose CPU time is read.
 */
import { fork, type ChildProcess } from "node:child_process";
import { generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { pino } from "pino";
import { Type } from "typebox";
import { Agent, request } from "undici";
import { dataLayout } from "../../coordinator/data-layout.ts";
import { initCoordinator } from "../../coordinator/init.ts";
import { runCoordinator } from "../../coordinator/main.ts";
import { openLevelStore } from "../../coordinator/store/level-store.ts";
import { setRecord, type RecordChange } from "../../coordinator/store/records.ts";
import { TABLES, type EndpointRecord, type Presence } from "../../coordinator/store/tables.ts";
import { makeTlsCertificate } from "../../coordinator/trust/tls-certificate.ts";
import {
  parseCheckInAnswer,
  parseFreshness,
  parseMembership,
  parseRoster,
  type CheckInAnswer,
  type CheckInRequest,
} from "../../protocol/check-in.ts";
import { peekStatement, rawPublicKey, signStatement } from "../../protocol/dsse.ts";
import { endpointIdOf, parseEndpointName, parseSiteName } from "../../protocol/ids.ts";
import { parserOf } from "../../protocol/json.ts";
import type { BenchOptions } from "../bench-options.ts";

const ENDPOINT_COUNT = 10_000;
const SITE_COUNT = 100;
/** Endpoints that check in; all others are known and were seen just now. */
const SENDER_COUNT = 1000;
const ROUND_COUNT = 8;
const CONNECTION_COUNT = 16;
const ANSWER_MAX_BYTES = 1024 * 1024;

interface Sender {
  readonly key: KeyObject;
  readonly record: EndpointRecord;
  readonly presence: Presence;
  counter: number;
  held: CheckInRequest["held"];
}

interface Measurement {
  readonly what: string;
  readonly requestCount: number;
  readonly perSec: number;
  readonly cpuMicrosEach: number;
  readonly answerBytes: number;
}

const ReadySchema = Type.Object({ url: Type.String() });
const parseReady = parserOf("the server's message", ReadySchema);
const parseCpu = parserOf(
  "the server's message",
  Type.Object({ user: Type.Number(), system: Type.Number() }),
);

export async function run(options: BenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "branchline-bench-"));
  const agent = new Agent({
    connections: CONNECTION_COUNT,
    pipelining: 1,
    connect: { rejectUnauthorized: false },
  });
  try {
    const senders = await registered(join(folder, "data"), folder);
    const ours = await measured(agent, ["coordinator", join(folder, "data")], senders);
    const bare = await measured(agent, ["bare", String(ours.answerBytes)], senders);
    const ratio = Number((ours.cpuMicrosEach / bare.cpuMicrosEach).toFixed(2));
    if (options.isJson) console.log(JSON.stringify({ checkIn: { ours, bare, ratio } }));
    else printTable([ours, bare], ratio);
  } finally {
    await agent.destroy();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A fleet on the disk, as if everybody had joined and checked in a moment ago. */
async function registered(dataDir: string, home: string): Promise<readonly Sender[]> {
  const nowMs = Date.now();
  await initCoordinator({
    dataDir,
    passphrase: "for the bench only",
    hosts: ["127.0.0.1"],
    configHome: home,
    nowMs,
  });
  const senders = Array.from({ length: ENDPOINT_COUNT }, (_none, at) => newSender(at, nowMs));
  const sites = Array.from({ length: SITE_COUNT }, (_none, at): RecordChange => {
    const name = parseSiteName(`site-${at}`);
    const criteria = [{ kind: "subnet" as const, cidr: `10.${at}.0.0/16` }];
    return setRecord(TABLES.sites, name, { name, criteria, order: at, epoch: 1 });
  });
  const store = await openLevelStore(dataLayout(dataDir).store);
  await store.commit({
    set: [
      ...sites,
      ...senders.flatMap(({ record, presence }) => [
        setRecord(TABLES.endpoints, record.id, record),
        setRecord(TABLES.names, record.name, { endpoint: record.id }),
        setRecord(TABLES.presence, record.id, presence),
      ]),
    ],
  });
  await store.close();
  return senders.slice(0, SENDER_COUNT);
}

function newSender(at: number, nowMs: number): Sender {
  const { privateKey: key } = generateKeyPairSync("ed25519");
  const id = endpointIdOf(rawPublicKey(key));
  const site = parseSiteName(`site-${at % SITE_COUNT}`);
  const address = `10.${at % SITE_COUNT}.${at % 250}.${Math.floor(at / 250) + 1}`;
  const name = parseEndpointName(`pc-${at}`);
  return {
    key,
    record: { id, name, homeSite: site, isDp: at < SITE_COUNT, joinedMs: nowMs },
    presence: {
      counter: 0,
      seenMs: nowMs,
      gapMs: 60_000,
      facts: { hostName: name, addresses: [address], gateways: [] },
      publicAddress: "127.0.0.1",
      site,
      listen: [`/ip4/${address}/tcp/4001`],
      os: "linux",
      arch: "x64",
      nodeVersion: "0.1.0",
      bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
    },
    counter: 0,
    held: {
      directive: 0,
      catalog: 0,
      catalogRoot: 1,
      directorRoot: 1,
      roster: 0,
      membershipMs: 0,
      sessionMs: 0,
    },
  };
}

function signedCheckIn(sender: Sender): string {
  const { facts, listen, arch, nodeVersion, bytes } = sender.presence;
  const checkIn: CheckInRequest = {
    v: 1,
    endpoint: sender.record.id,
    counter: ++sender.counter,
    nonce: randomBytes(16).toString("hex"),
    facts,
    listen,
    os: "linux",
    arch,
    nodeVersion,
    held: sender.held,
    bytes,
  };
  return JSON.stringify(signStatement("check-in", checkIn, sender.key));
}

async function measured(
  agent: Agent,
  args: readonly string[],
  senders: readonly Sender[],
): Promise<Measurement> {
  const [what = ""] = args;
  const child = fork(import.meta.filename, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  try {
    const { url } = parseReady(await nextMessage(child));
    // The first two rounds bring everybody up to date and warm both sides.
    for (let round = 0; round < 2; round++) {
      const bodies = senders.map((sender) => ({ sender, body: signedCheckIn(sender) }));
      await sendAll(agent, url, bodies, what === "coordinator");
    }
    const due = Array.from({ length: ROUND_COUNT }, () => senders).flat();
    const bodies = due.map((sender) => ({ sender, body: signedCheckIn(sender) }));
    const before = await cpuMicros(child);
    const startedMs = performance.now();
    const answerBytes = await sendAll(agent, url, bodies, false);
    const durationMs = performance.now() - startedMs;
    const usedMicros = (await cpuMicros(child)) - before;
    return {
      what,
      requestCount: bodies.length,
      perSec: Math.round((bodies.length / durationMs) * 1000),
      cpuMicrosEach: Math.round(usedMicros / bodies.length),
      answerBytes: Math.round(answerBytes / bodies.length),
    };
  } finally {
    child.kill();
    await once(child, "exit");
  }
}

/** Sums the sizes of the answers; with `isKept`, each sender holds what it was answered. */
async function sendAll(
  agent: Agent,
  url: string,
  bodies: readonly { readonly sender: Sender; readonly body: string }[],
  isKept: boolean,
): Promise<number> {
  const queue = bodies.values();
  let answerBytes = 0;
  const worker = async (): Promise<void> => {
    for (const { sender, body } of queue) {
      const answer = await request(`${url}/v1/check-in`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        dispatcher: agent,
      });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}: ${text}`);
      answerBytes += text.length;
      if (isKept) keep(sender, parseCheckInAnswer(JSON.parse(text)));
    }
  };
  await Promise.all(Array.from({ length: CONNECTION_COUNT }, worker));
  return answerBytes;
}

function keep(sender: Sender, { freshness, roster, membership, session }: CheckInAnswer): void {
  const fresh = parseFreshness(peekStatement(freshness, ANSWER_MAX_BYTES));
  const { held } = sender;
  sender.held = {
    ...held,
    directive: fresh.directiveVersion,
    catalog: fresh.catalogVersion,
    roster:
      roster === undefined
        ? held.roster
        : parseRoster(peekStatement(roster, ANSWER_MAX_BYTES)).version,
    membershipMs:
      membership === undefined
        ? held.membershipMs
        : parseMembership(peekStatement(membership, ANSWER_MAX_BYTES)).notAfterMs,
    sessionMs: session?.notAfterMs ?? held.sessionMs,
  };
}

async function nextMessage(child: ChildProcess): Promise<unknown> {
  const parts: readonly unknown[] = await once(child, "message");
  return parts[0];
}

async function cpuMicros(child: ChildProcess): Promise<number> {
  child.send("cpu");
  const { user, system } = parseCpu(await nextMessage(child));
  return user + system;
}

function printTable(measurements: readonly Measurement[], ratio: number): void {
  for (const { what, perSec, cpuMicrosEach, requestCount, answerBytes } of measurements) {
    const sizes = `${requestCount} requests, ${answerBytes} bytes each answer`;
    console.log(
      `${what.padEnd(12)} ${String(perSec).padStart(6)}/s ${String(cpuMicrosEach).padStart(6)} us CPU  (${sizes})`,
    );
  }
  console.log(`a check-in costs ${ratio} times the CPU of a bare https answer`);
}

/** The measured process: the coordinator, or the bare server. */
async function serve([kind = "", argument = ""]: readonly string[]): Promise<void> {
  process.on("message", () => process.send?.(process.cpuUsage()));
  if (kind === "coordinator") {
    await runCoordinator({
      dataDir: argument,
      listen: { host: "127.0.0.1", port: 0 },
      isInsecureHttp: false,
      signal: new AbortController().signal,
      log: pino({ level: "silent" }),
      onReady: ({ url }) => process.send?.({ url }),
    });
    return;
  }
  const tls = await makeTlsCertificate({ hosts: ["127.0.0.1"], nowMs: Date.now() });
  const body = "x".repeat(Number(argument));
  const server = createServer({ key: tls.privateKeyPem, cert: tls.certificatePem });
  server.on("request", (incoming, response) => {
    incoming.resume().once("end", () => response.end(body));
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    process.send?.({ url: `https://127.0.0.1:${port}` });
  });
}

if (import.meta.main && process.send !== undefined) await serve(process.argv.slice(2));
