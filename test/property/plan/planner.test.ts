import fc from "fast-check";
import { expect, it } from "vitest";
import { WORLD_CASES, WORLD_TIMEOUT_MS } from "../../support/config.ts";
import { inventory, nature as natures, wishes } from "../../support/plan-arbitraries.ts";
import { PlanEndpoint } from "../../support/plan-endpoint.ts";
import { checkRest, checkSteps } from "../../support/plan-laws.ts";
import { planAt } from "../../support/plan-world.ts";

const HOUR_MS = 3_600_000;

const stopsOfRuns = fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 4 });

it(
  "OCO-34 whatever is assigned: the runs end in rest, and nothing is installed or taken off again and again",
  () => {
    fc.assert(
      fc.property(natures, wishes, inventory, stopsOfRuns, (nature, intents, before, stops) => {
        checkRest({ nature, intents, before, stops });
      }),
      { numRuns: WORLD_CASES },
    );
  },
  WORLD_TIMEOUT_MS,
);

it(
  "ZEN-13 OCS-23 SE-21 holds its laws at every step: dependents first, level 0 alone, attempts bounded, each wish answered",
  () => {
    fc.assert(
      fc.property(
        natures,
        fc.array(wishes, { minLength: 1, maxLength: 3 }),
        inventory,
        stopsOfRuns,
        (nature, [intents = [], ...changes], before, stops) => {
          checkSteps({ nature, intents, before, stops }, changes);
        },
      ),
      { numRuns: WORLD_CASES },
    );
  },
  WORLD_TIMEOUT_MS,
);

it(
  "gives the same bytes for the same input, in whatever order the wishes come",
  () => {
    fc.assert(
      fc.property(natures, wishes, inventory, fc.nat(), (nature, intents, before, turn) => {
        const endpoint = new PlanEndpoint({ nature, intents, before });
        endpoint.run();
        const bytes = JSON.stringify(endpoint.plan());

        expect(JSON.stringify(endpoint.plan())).toBe(bytes);
        const turned = intents.map((_one, at) => intents[(at + turn) % intents.length]!);
        const other = planAt({ ...endpoint.input, intents: turned }, endpoint.nowMs);
        expect(JSON.stringify(other.instructions)).toBe(
          JSON.stringify(endpoint.plan().instructions),
        );
      }),
      { numRuns: WORLD_CASES },
    );
  },
  WORLD_TIMEOUT_MS,
);

it(
  "plans the same until the instant at which it says that it changes",
  () => {
    const waits = fc.integer({ min: 0, max: 10 * HOUR_MS });
    fc.assert(
      fc.property(natures, wishes, inventory, waits, (nature, intents, before, waitMs) => {
        const { input, nowMs } = new PlanEndpoint({ nature, intents, before });
        const plan = planAt(input, nowMs);
        const laterMs = Math.min(nowMs + waitMs, (plan.changesMs ?? Number.POSITIVE_INFINITY) - 1);

        expect(JSON.stringify(planAt(input, laterMs))).toBe(JSON.stringify(plan));
      }),
      { numRuns: WORLD_CASES },
    );
  },
  WORLD_TIMEOUT_MS,
);
