/** `--to endpoint:NAME|site:NAME|all`: where a package goes. */
import { DeployError } from "../../protocol/errors.ts";
import {
  parseEndpointId,
  parseEndpointName,
  parseSiteName,
  type EndpointId,
  type EndpointName,
} from "../../protocol/ids.ts";
import type { DeployTarget } from "../../protocol/operator-api.ts";

export function parseDeployTarget(text: string): DeployTarget {
  if (text === "all") return { kind: "all" };
  const [kind, name, ...rest] = text.split(":");
  if (name !== undefined && rest.length === 0) {
    if (kind === "site") return { kind, name: parseSiteName(name) };
    if (kind === "endpoint") return { kind, name: parseEndpointOf(name) };
  }
  throw new DeployError("INPUT_INVALID", {
    what: `--to "${text.slice(0, 100)}"`,
    expected: "endpoint:NAME, site:NAME or all",
  });
}

export function deployTargetText(target: DeployTarget): string {
  return target.kind === "all" ? "all endpoints" : `${target.kind} ${target.name}`;
}

/** A PeerId of an endpoint, or its name. */
export function parseEndpointOf(text: string): EndpointName | EndpointId {
  return text.startsWith("12D3KooW") ? parseEndpointId(text) : parseEndpointName(text);
}
