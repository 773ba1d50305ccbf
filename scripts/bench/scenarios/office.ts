/** Scenarios 1, 3, 4 and 6: one office behind a slow line, and what may happen to its machines. */
import { freezing, killing, type Fault } from "../swarm/faults.ts";
import { placeOf, Stage, type Transfer } from "../swarm/stage.ts";
import { busiestHolder } from "./holders.ts";
import { withoutTimeouts } from "./no-timeouts.ts";
import {
  LINE,
  lineCheck,
  timeCheck,
  type Bounds,
  type Check,
  type Conditions,
  type Scenario,
} from "./scenario.ts";

const REF = "scenario/noise@1";
/** What the office promises, and the figures of distribution 6. */
const TIME: Bounds = { most: 1.08, strict: 1.03 };
/** Whoever dies has had bytes that reached nobody. */
const FAULTY_LINE: Bounds = { ...LINE, most: 1.08 };
/** Without its DP the office goes on; one that is frozen must be missed first. */
const KILLED_TIME: Bounds = { ...TIME, most: 1.15 };
const FROZEN_TIME: Bounds = { ...KILLED_TIME, extraSeconds: 3 };
const HOLDERS_TIME: Bounds = { ...TIME, most: 1.12 };
const OTHERS_TIME: Bounds = { ...TIME, most: 1.12 };
/** Of the slow ones nothing is promised but that they are not left behind. */
const SLOW_TIME: Bounds = { most: 1.15, strict: 1.05 };
const SLOW_UPLOAD = "2mbit";

interface Office {
  readonly hasDp: boolean;
  readonly prepare?: (stage: Stage) => Promise<void>;
  /** `awaited` are the agents whose success ends the run: who is to die is taken out. */
  readonly faults?: (awaited: string[]) => readonly Fault[];
}

export const OFFICE_SCENARIOS: readonly Scenario[] = [
  {
    id: 1,
    title: "no DP, everybody in the same second",
    run: async (conditions) => {
      const transfer = await officeRun(conditions, { hasDp: false });
      return [
        lineCheck("all", conditions, LINE, transfer),
        timeCheck("all", conditions, TIME, transfer),
      ];
    },
  },
  {
    id: 3,
    title: "the DP is killed at 50 %, and frozen at 50 %",
    run: async (conditions) => {
      const kill = killing(0.5, ({ dps }) => dps);
      const freeze = freezing(0.5, ({ dps }) => dps);
      const killed = await officeRun(conditions, { hasDp: true, faults: () => [kill] });
      const frozen = await officeRun(conditions, { hasDp: true, faults: () => [freeze] });
      return [
        lineCheck("killed", conditions, FAULTY_LINE, killed),
        timeCheck("killed", conditions, KILLED_TIME, killed),
        lineCheck("frozen", conditions, FAULTY_LINE, frozen),
        timeCheck("frozen, with 3 s", conditions, FROZEN_TIME, frozen),
      ];
    },
  },
  {
    id: 4,
    title: "3 holders killed at 25, 50 and 75 %",
    run: async (conditions) => {
      const transfer = await officeRun(conditions, { hasDp: false, faults: killingHolders });
      return [
        lineCheck("survivors", conditions, FAULTY_LINE, transfer),
        timeCheck("survivors", conditions, HOLDERS_TIME, transfer),
      ];
    },
  },
  { id: 6, title: "a fifth of the peers upload at 2 Mbit/s", run: withSlowPeers },
];

async function officeRun(conditions: Conditions, office: Office): Promise<Transfer> {
  const { peers, wan, lan, sizeBytes, isBackground } = conditions;
  const options = { sites: 1, agents: peers, wan, lan, isBackground };
  await using stage = await Stage.open({ ...options, hasDp: office.hasDp });
  await office.prepare?.(stage);
  await stage.publish(REF, sizeBytes);
  const names = [...stage.agents];
  const faults = office.faults?.(names) ?? [];
  return await stage.transfer({ ref: REF, sizeBytes, target: "all", names, faults });
}

/** Each time whoever takes most over the line just then. */
function killingHolders(awaited: string[]): readonly Fault[] {
  return [0.25, 0.5, 0.75].map((atShare) => ({
    atShare,
    strike: async ({ fleet, lab }) => {
      const holder = await busiestHolder(lab, awaited);
      awaited.splice(awaited.indexOf(holder), 1);
      await fleet.nodes.get(holder)?.kill();
    },
  }));
}

async function withSlowPeers(conditions: Conditions): Promise<readonly Check[]> {
  const slowCount = Math.round(conditions.peers / 5);
  const transfer = await officeRun(conditions, {
    hasDp: false,
    prepare: async (stage) => {
      for (const name of stage.agents.slice(0, slowCount)) {
        const { site, host } = placeOf(name);
        await stage.lab.limitUpload(site, host, SLOW_UPLOAD);
      }
    },
  });
  const { endSeconds, coreShare } = transfer;
  // The slow ones fetch like everybody: what counts is that the others' share ends in time.
  const seconds = endSeconds[endSeconds.length - 1 - slowCount] ?? Number.NaN;
  return [
    lineCheck("all", conditions, LINE, transfer),
    timeCheck("others", conditions, OTHERS_TIME, { seconds, coreShare }),
    timeCheck("all", conditions, SLOW_TIME, transfer),
    ...(await withoutTimeouts(conditions)),
  ];
}
