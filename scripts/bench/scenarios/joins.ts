/** Scenario 11: a crowd that joins behind one address, and an office whose two halves lose each other. */
import { join } from "node:path";
import { Type } from "typebox";
import { outputOf } from "../../../test/support/processes.ts";
import { parserOf } from "../../../protocol/json.ts";
import type { Fault } from "../swarm/faults.ts";
import { Stage } from "../swarm/stage.ts";
import { atMost, type Check, type Conditions, type Scenario } from "./scenario.ts";

const CROWD = 50;
const JOINERS = join(import.meta.dirname, "joiners.ts");
const AGENTS = 8;
const ISLANDS = 2;
/** Small enough for a split that lasts the whole transfer. */
const SIZE_BYTES = 20_000_000;

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
      await island(stage, conditions, { ref: "whole/noise@1", word: "joined", bound: 1.01 }),
      await island(stage, conditions, {
        ref: "split/noise@1",
        word: "split all the time",
        bound: ISLANDS * 1.01,
        isSplit: true,
      }),
      await island(stage, conditions, {
        ref: "healed/noise@1",
        word: "split, healed at 30 %",
        bound: 1.35,
        isSplit: true,
        faults: [{ atShare: 0.3, strike: async ({ lab }) => lab.heal(0, AGENTS / 2) }],
      }),
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

interface Island {
  readonly ref: string;
  readonly word: string;
  readonly bound: number;
  readonly isSplit?: boolean;
  readonly faults?: readonly Fault[];
}

async function island(stage: Stage, { raw }: Conditions, of: Island): Promise<Check> {
  const { lab, agents } = stage;
  if (of.isSplit === true) await lab.split(0, AGENTS / 2);
  await stage.publish(of.ref, SIZE_BYTES);
  const order = { ref: of.ref, sizeBytes: SIZE_BYTES, target: "all", names: agents };
  const { faults } = of;
  const { wanBytes } = await stage.transfer(faults === undefined ? order : { ...order, faults });
  if (of.isSplit === true && faults === undefined) await lab.heal(0, AGENTS / 2);
  const wan = (wanBytes[0] ?? Number.NaN) / SIZE_BYTES / raw.wan;
  return atMost(`${of.word}: line ÷ raw TCP`, of.bound, wan);
}
