// Does one task with jsforce and writes what it got as one JSON line.
import jsforce from "jsforce";

const task = JSON.parse(process.argv[2]);
const conn = new jsforce.Connection({ loginUrl: task.loginUrl, version: task.version });
const user = await conn.login(task.username, task.password);

const tasks = {
  async all() {
    const records = await conn.query(task.soql, { autoFetch: true, maxFetch: 10000, headers: { "Sforce-Query-Options": "batchSize=200" } });
    return { records: records.records.length, done: records.done, total: records.totalSize, calls: conn.limitInfo.apiUsage };
  },
  async pages() {
    let result = await conn.query(task.soql, { headers: { "Sforce-Query-Options": "batchSize=200" } });
    const sizes = [result.records.length];
    while (!result.done) {
      result = await conn.queryMore(result.nextRecordsUrl, { headers: { "Sforce-Query-Options": "batchSize=200" } });
      sizes.push(result.records.length);
    }
    return { sizes };
  },
  async bulk() {
    conn.bulk2.pollInterval = 100;
    const stream = await conn.bulk2.query(task.soql, { scanAll: task.scanAll });
    return { rows: await stream.toArray() };
  },
  async life() {
    const made = await conn.sobject("Account").create({ Name: task.name });
    await conn.sobject("Account").update({ Id: made.id, Internet_Eligibility__c: "Home 1G" });
    const read = await conn.sobject("Account").retrieve(made.id);
    await conn.sobject("Account").destroy(made.id);
    const updated = await conn.sobject("Account").describe();
    return { id: made.id, eligibility: read.Internet_Eligibility__c, fields: updated.fields.length };
  },
  async logout() {
    const token = conn.accessToken;
    await conn.logout();
    return { token };
  },
  async limits() {
    return { limits: await conn.limits() };
  },
};

process.stdout.write(JSON.stringify({ user, ...(await tasks[task.task]()) }) + "\n");
