/** Scenario 11: a crowd that joins behind one address, what an office says by multicast, and islands. */
import { join } from "node:path";
import { Type } from "typebox";
import { parserOf } from "../../../protocol/json.ts";
import { outputOf, until } from "../../../test/support/processes.ts";
import type { Fault } from "../swarm/faults.ts";
import { Stage } from "../swarm/stage.ts";
import { startMdnsEar } from "./mdns-ear.ts";
import { accountChecks, lineAccount } from "./line-account.ts";
import {
  atLeast,
  atMost,
  lineCheck,
  timeCheck,
  type Check,
  type Conditions,
  type Scenario,
} from "./scenario.ts";

const CROWD = 50;
const JOINERS = join(import.meta.dirname, "joiners.ts");
const AGENTS = 8;
const ISLANDS = 2;
const RESTART_LIMIT_MS = 90_000;
/** Small enough for a split that lasts the whole transfer. */
const SIZE_BYTES = 20_000_000;
/** Nothing is promised of the time of islands, but none may starve. */
const TIME_FACTOR = 1.5;

const parseJoined = parserOf(
  "what the joiners say",
  Type.Object({ lost: Type.Integer(), seconds: Type.Number() }),
);

export const JOINS_SCENARIO: Scenario = {
  id: 11,
  title: `${CROWD} joins at once from one address; two islands, joined, split and healed`,
  run: async (conditions) => {
    const { wan, lan } = conditions;
    const options = { sites: 1, agents: AGENTS, hasDp: false, spares: 1, wan, lan };
    await using stage = await Stage.open(options);
    return [
      ...(await crowd(stage)),
      ...(await heard(stage, conditions)),
      ...(await unheard(stage, conditions)),
      ...(await island(stage, conditions, {
        ref: "split/noise@1",
        word: "split all the time",
        copies: ISLANDS,
        isSplit: true,
      })),
      ...(await island(stage, conditions, {
        ref: "healed/noise@1",
        word: "split, healed at 30 %",
        // Until then each island fetches its own.
        copies: 1.3,
        isSplit: true,
        faults: [{ atShare: 0.3, strike: async ({ lab }) => lab.heal(0, AGENTS / 2) }],
      })),
    ];
  },
};

async function crowd(stage: Stage): Promise<readonly Check[]> {
  const { fleet, lab } = stage;
  const token = await stage.joinToken(CROWD);
  const [file = "", ...rest] = lab.host(0, AGENTS);
  const folder = join(fleet.folder, "crowd");
  const args = [JOINERS, fleet.url, token, String(CROWD), lab.address(0, AGENTS), folder];
  const result = await outputOf(file, [...rest, process.execPath, ...args], fleet.environment());
  if (result.exitCode !== 0) throw new Error(`the joiners failed: ${result.stderr}`);
  const { lost, seconds } = parseJoined(JSON.parse(result.stdout));
  return [atMost("lost joins", 0, lost), atMost("seconds until the last has joined", 20, seconds)];
}

/** All agents start again, when they ask most, and fetch a package; a spare host counts what it hears. */
async function heard(stage: Stage, conditions: Conditions): Promise<readonly Check[]> {
  const { lab } = stage;
  await using ear = await startMdnsEar(lab.host(0, AGENTS), lab.address(0, AGENTS));
  const begin = performance.now();
  await restarted(stage);
  const joined = await island(stage, conditions, {
    ref: "whole/noise@1",
    word: "joined",
    copies: 1,
  });
  const seconds = (performance.now() - begin) / 1000;
  return [
    ...joined,
    atLeast("mDNS packets heard in the office", 1, ear.packets()),
    atMost("mDNS packets per second", 1, ear.packets() / seconds),
  ];
}

/** The same where the switch passes no multicast on. */
async function unheard(stage: Stage, conditions: Conditions): Promise<readonly Check[]> {
  const { lab } = stage;
  await lab.muteMulticast(0);
  await using ear = await startMdnsEar(lab.host(0, AGENTS), lab.address(0, AGENTS));
  await restarted(stage);
  const order = { ref: "mute/noise@1", word: "joined, without multicast", copies: 1 };
  const joined = await island(stage, conditions, order);
  return [...joined, atMost("without multicast: mDNS packets heard", 0, ear.packets())];
}

async function restarted(stage: Stage): Promise<void> {
  const { fleet, agents } = stage;
  for (const name of agents) await fleet.nodes.get(name)?.stop();
  const stoppedMs = Date.now();
  for (const name of agents) await stage.startHost(name);
  await until("all agents check in again", RESTART_LIMIT_MS, async () => {
    const { endpoints } = await fleet.status();
    const seen = endpoints.filter(
      ({ name, lastSeen }) => agents.includes(name) && Date.parse(lastSeen ?? "") > stoppedMs,
    );
    return seen.length === agents.length ? true : undefined;
  });
}

interface Island {
  readonly ref: string;
  readonly word: string;
  /** Of the package over the line. */
  readonly copies: number;
  readonly isSplit?: boolean;
  readonly faults?: readonly Fault[];
}

async function island(stage: Stage, conditions: Conditions, of: Island): Promise<readonly Check[]> {
  const { lab, agents } = stage;
  const { ref, word, copies, isSplit = false, faults } = of;
  if (isSplit) await lab.split(0, AGENTS / 2);
  await stage.publish(ref, SIZE_BYTES);
  const order = { ref, sizeBytes: SIZE_BYTES, target: "all", names: agents };
  const transfer = await stage.transfer({ ...order, faults: faults ?? [] });
  if (isSplit && faults === undefined) await lab.heal(0, AGENTS / 2);
  const course = { ...conditions, sizeBytes: SIZE_BYTES };
  const line = { most: copies * 1.06, strict: copies * 1.01 };
  const time = { most: TIME_FACTOR * copies, strict: TIME_FACTOR * copies };
  return [
    lineCheck(word, course, line, transfer),
    timeCheck(word, course, time, transfer),
    ...accountChecks(await lineAccount(stage, ref), SIZE_BYTES),
  ];
}
