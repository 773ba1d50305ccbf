/**
 * Plain HTTPS origins: which site is told of which, the key of the tokens that they may check, and what nodes
 * tell of them. Counters are of this process; the bytes themselves are in the account of the lines.
 */
import { hkdfSync, type KeyObject } from "node:crypto";
import { ed25519PrivateKey, rawPublicKey } from "../../protocol/dsse.ts";
import type { Digest } from "../../protocol/ids.ts";
import { signedLeaseToken } from "../../protocol/lease.ts";
import type { Notice } from "../../protocol/operator-api.ts";
import {
  PLAIN_ORIGINS_MAX_COUNT,
  type OriginView,
  type PlainFetch,
  type PlainOrigin,
  type PlainProblem,
} from "../../protocol/plain-origin.ts";
import { givesWay } from "../core/line/line-window.ts";
import type { Records } from "./records.ts";
import { TABLES, type OriginRecord } from "./tables.ts";

export interface OriginBook {
  /** Raw public key in base64url, for edges that check tokens. */
  readonly tokenKey: string;
  /** Those of a gate's place, in the order of adding; the same array as long as it is the same. */
  at(site: string): readonly PlainOrigin[];
  /** The token with the signature that an edge can check. */
  signed(token: string, digest: Digest): string;
  /** Counts one word of a node; `doneBytes` are of the fragment where it is done. */
  told(fetch: PlainFetch, doneBytes: number, nowMs: number): void;
  list(): readonly OriginView[];
  notices(nowMs: number): readonly Notice[];
}

interface Account {
  doneCount: number;
  doneBytes: number;
  readonly problems: Record<PlainProblem, number>;
  last: { readonly problem: PlainProblem; readonly atMs: number } | undefined;
  /** Since the last fragment that was done. */
  failedInRow: number;
}

const NONE: readonly PlainOrigin[] = [];
/** So many failures in a row are no accident. */
const NOTICE_COUNT = 3;
/** What was long ago needs nobody any more. */
const NOTICE_MS = 3_600_000;

export function openOriginBook(records: Records, leaseSecret: string): OriginBook {
  const key = tokenKeyOf(leaseSecret);
  const places = new Map<string, { readonly inputs: string; readonly told: string }>();
  const shared = new Map<string, readonly PlainOrigin[]>();
  const accounts = new Map<string, Account>();

  function at(site: string): readonly PlainOrigin[] {
    if (records.count(TABLES.origins) === 0) return NONE;
    const inputs = `${records.revision(TABLES.origins)} ${records.revision(TABLES.sites)}`;
    const known = places.get(site);
    if (known?.inputs === inputs) return shared.get(known.told) ?? NONE;
    const origins = originsAt(records, site);
    const told = JSON.stringify(origins);
    places.set(site, { inputs, told });
    if (!shared.has(told)) shared.set(told, origins);
    return shared.get(told) ?? NONE;
  }

  function accountOf(url: string): Account {
    const known = accounts.get(url);
    if (known !== undefined) return known;
    const made = newAccount();
    accounts.set(url, made);
    return made;
  }

  return {
    tokenKey: rawPublicKey(key).toString("base64url"),
    at,
    signed: (token, digest) => signedLeaseToken(token, digest, key),
    told: ({ origin, outcome }, doneBytes, nowMs) => {
      // One that was removed meanwhile, or never existed, has no account.
      if (outcome === "flowing" || records.get(TABLES.origins, origin) === undefined) return;
      count(accountOf(origin), outcome, doneBytes, nowMs);
    },
    list: () => ordered(records).map((record) => viewOf(record, accountOf(record.url))),
    notices: (nowMs) => ordered(records).flatMap(({ url }) => noticeOf(url, accountOf(url), nowMs)),
  };
}

/** A key of its own, so that nothing else of the fleet can be signed by mistake with what edges trust. */
function tokenKeyOf(leaseSecret: string): KeyObject {
  const secret = Buffer.from(leaseSecret, "hex");
  const seed = hkdfSync("sha256", secret, Buffer.alloc(0), "branchline lease token key", 32);
  return ed25519PrivateKey(new Uint8Array(seed));
}

// Only the coordinator can make way for other traffic on a line, so it sends there itself.
function originsAt(records: Records, site: string): readonly PlainOrigin[] {
  if (givesWay(records.get(TABLES.sites, site)?.policy)) return NONE;
  return ordered(records)
    .filter(({ sites }) => sites === undefined || sites.some((name) => name === site))
    .slice(0, PLAIN_ORIGINS_MAX_COUNT)
    .map(({ url, ca }) => ({ url, ...(ca === undefined ? {} : { ca }) }));
}

function ordered(records: Records): readonly OriginRecord[] {
  return records
    .all(TABLES.origins)
    .toSorted((one, other) => one.addedMs - other.addedMs || (one.url < other.url ? -1 : 1));
}

function newAccount(): Account {
  const problems = { unreachable: 0, absent: 0, refused: 0, broken: 0, corrupt: 0 };
  return { doneCount: 0, doneBytes: 0, problems, last: undefined, failedInRow: 0 };
}

function count(
  account: Account,
  outcome: "done" | PlainProblem,
  doneBytes: number,
  atMs: number,
): void {
  if (outcome === "done") {
    account.doneCount++;
    account.doneBytes += doneBytes;
    account.failedInRow = 0;
    return;
  }
  account.problems[outcome]++;
  account.failedInRow++;
  account.last = { problem: outcome, atMs };
}

function viewOf({ url, sites, ca, addedMs }: OriginRecord, account: Account): OriginView {
  const { doneCount, doneBytes, problems, last } = account;
  return {
    url,
    ...(sites === undefined ? {} : { sites }),
    hasCa: ca !== undefined,
    addedAt: new Date(addedMs).toISOString(),
    doneCount,
    doneBytes,
    problems: { ...problems },
    ...(last === undefined
      ? {}
      : { lastProblem: last.problem, lastProblemAt: new Date(last.atMs).toISOString() }),
  };
}

function noticeOf(url: string, { last, failedInRow }: Account, nowMs: number): readonly Notice[] {
  if (last === undefined || nowMs - last.atMs > NOTICE_MS) return [];
  if (last.problem !== "corrupt" && failedInRow < NOTICE_COUNT) return [];
  return [
    {
      code: "ORIGIN_FAILING",
      message: `nodes cannot use the origin ${url}: ${last.problem}; the coordinator sends instead`,
      hint: "Run `branchline origin list`; export the packages again, or remove the origin.",
    },
  ];
}
