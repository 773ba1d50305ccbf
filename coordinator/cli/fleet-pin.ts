/**
 * Pins a coordinator for a saved context: its description is fetched over a connection that is not
 * verified yet, nothing else is sent there, and both the description and the certificate of that very
 * connection must be the ones of the pin (trust E1).
 */
import { X509Certificate } from "node:crypto";
import { TLSSocket } from "node:tls";
import { Agent, buildConnector } from "undici";
import { parseFleet, type Fleet } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import { fleetPin } from "../../protocol/join-token.ts";
import { readJson } from "../../protocol/json.ts";
import { exchange } from "./http-exchange.ts";

/** Two TUF roots and a certificate. */
const FLEET_MAX_BYTES = 640 * 1024;

/** Throws CLI_PIN_MISMATCH, or what `exchange` throws. */
export async function fetchPinnedFleet(
  url: string,
  pin: string,
  signal: AbortSignal,
): Promise<Fleet> {
  const { agent, shownCertificate } = recordingAgent();
  try {
    const answer = await exchange({
      url,
      path: "/v1/fleet",
      method: "GET",
      limitBytes: FLEET_MAX_BYTES,
      dispatcher: agent,
      signal,
    });
    if (answer.status !== 200) throw mismatch(url, `it answered with status ${answer.status}`);
    const fleet = parseFleet(readJson("the fleet description", answer.body, FLEET_MAX_BYTES));
    refuseOther(url, fleet, pin, shownCertificate());
    return fleet;
  } finally {
    await agent.destroy();
  }
}

function refuseOther(url: string, fleet: Fleet, pin: string, shown: Buffer | undefined): void {
  if (fleetPin(fleet) !== pin) throw mismatch(url, "its fleet description has another pin");
  // Behind a proxy the certificate is a public one, and every later connection verifies it as such.
  if (fleet.tlsCertificate === undefined || !url.startsWith("https:")) return;
  const pinned = new X509Certificate(fleet.tlsCertificate).raw;
  if (shown?.equals(pinned) !== true) {
    throw mismatch(url, "the connection shows another certificate");
  }
}

/** An agent that accepts any certificate and remembers the one it was shown. */
function recordingAgent() {
  let shown: Buffer | undefined;
  const connector = buildConnector({
    rejectUnauthorized: false,
    timeout: 10_000,
    // A resumed session shows no certificate.
    maxCachedSessions: 0,
  });
  const agent = new Agent({
    connections: 1,
    connect: (options, callback) => {
      connector(options, (...result) => {
        const [, socket] = result;
        if (socket instanceof TLSSocket) shown = socket.getPeerX509Certificate()?.raw;
        callback(...result);
      });
    },
  });
  return { agent, shownCertificate: () => shown };
}

function mismatch(url: string, problem: string): DeployError {
  return new DeployError("CLI_PIN_MISMATCH", { url, problem });
}
