// Reads {secret, public, body, headers} as JSON and says whether Node accepts the signature: by the npm package
// for a shared secret, and by Node itself for a public key, which the package does not know.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const { secret, public: publicKey, body, headers } = JSON.parse(readFileSync(0, "utf8"));

function verifiedByPublicKey() {
  const x = Buffer.from(publicKey.replace("whpk_", ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const base = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const signatures = headers["webhook-signature"].split(" ").filter((one) => one.startsWith("v1a,"));
  return signatures.some((one) => verify(null, base, key, Buffer.from(one.slice(4), "base64")));
}

function verifiedBySecret() {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    return false;
  }
}

console.log((publicKey ? verifiedByPublicKey() : verifiedBySecret()) ? "verified" : "refused");
