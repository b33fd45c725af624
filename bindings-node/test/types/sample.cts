// The same from CommonJS.
import warrenmq = require('warrenmq')

export async function main(): Promise<number> {
  const mq: warrenmq.Connection = await warrenmq.connect('inproc://types')
  const { messageCount } = await (await mq.queue('tasks')).info()
  await mq.close()
  return messageCount
}
