/**
 * Plans already made, each with what it was made from. An endpoint whose inputs are the same gets the very
 * same plan, without planning.
 */
import type { Plan } from "../core/plan.ts";
import type { EndpointId } from "../../protocol/ids.ts";

export interface PlanBook {
  /** `inputs` names the revisions of everything that `make` looks at. */
  get(endpoint: EndpointId, inputs: string, make: () => Plan): Plan;
}

export function openPlanBook(): PlanBook {
  const known = new Map<EndpointId, { readonly inputs: string; readonly plan: Plan }>();
  return {
    get: (endpoint, inputs, make) => {
      const last = known.get(endpoint);
      if (last?.inputs === inputs) return last.plan;
      const plan = make();
      known.set(endpoint, { inputs, plan });
      return plan;
    },
  };
}
