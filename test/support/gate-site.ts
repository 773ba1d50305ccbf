/** One site and one package before the lease gate. */
import { newGate, type GateState } from "../../coordinator/core/line/gate-state.ts";
import { step, type GateEvent, type GateRequest } from "../../coordinator/core/line/lease-gate.ts";
import { endpointIdOf, type EndpointId } from "../../protocol/ids.ts";

export const [a, b, c, d, dp] = [1, 2, 3, 4, 5].map((seed) =>
  endpointIdOf(new Uint8Array(32).fill(seed)),
) as [EndpointId, EndpointId, EndpointId, EndpointId, EndpointId];

/** Time stands still until a test moves it. */
export class Site {
  state: GateState = newGate();
  nowMs = 1000;
  dps: EndpointId[] = [];
  ask(endpoint: EndpointId, want: number[], more: Partial<GateRequest> = {}) {
    return this.send({
      type: "request",
      endpoint,
      want,
      release: [],
      force: undefined,
      dps: this.dps,
      ...more,
    });
  }
  tell(type: "begin" | "served" | "progress" | "broken", endpoint: EndpointId, index: number) {
    return this.send({ type, endpoint, index, dps: this.dps });
  }
  send(event: GateEvent) {
    return step(this.state, event, this.nowMs);
  }
}
export const range = (from: number) => Array.from({ length: 32 }, (_none, at) => from + at);
export const granted = (answer: { grants: readonly { index: number }[] }) =>
  answer.grants.map(({ index }) => index);
