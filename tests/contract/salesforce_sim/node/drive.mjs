// Drives salesforce-pubsub-api-client by one JSON argument and writes what it sees as JSON lines.
import { readFileSync } from "node:fs";
import PubSubApiClient from "salesforce-pubsub-api-client";

const task = JSON.parse(process.argv[2]);
const quiet = { debug() {}, info() {}, warn() {}, error: (...words) => console.error(...words) };
const text = (key, value) => (typeof value === "bigint" ? value.toString() : value);
const say = (line) => process.stdout.write(JSON.stringify(line, text) + "\n");

const client = new PubSubApiClient(
  {
    authType: task.login,
    loginUrl: task.loginUrl,
    clientId: task.clientId,
    clientSecret: task.clientSecret,
    username: task.username,
    privateKey: task.privateKeyFile && readFileSync(task.privateKeyFile, "utf8"),
    pubSubEndpoint: task.endpoint,
    rejectUnauthorizedSsl: false,
  },
  quiet,
);
await client.connect();

if (task.publish) {
  say({ published: await client.publish(task.topic, task.publish) });
  client.close();
  process.exit(0);
}

const onEvent = (subscription, kind, data) => {
  if (kind === "event") say({ event: data, received: subscription.receivedEventCount });
  else if (kind === "error") say({ error: { code: data.code, details: data.details, trailers: data.metadata?.getMap?.() } });
  else say({ [kind]: data ?? true });
  if (kind === "lastEvent" || kind === "error") {
    client.close();
    process.exit(0);
  }
};
if (task.start === "earliest") client.subscribeFromEarliestEvent(task.topic, onEvent, task.count);
else if (task.start === "latest") client.subscribe(task.topic, onEvent, task.count);
else client.subscribeFromReplayId(task.topic, onEvent, task.count, task.start);
