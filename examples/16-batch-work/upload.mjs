// Takes a picture in, and announces it, once: `node upload.mjs NAME USER`.
import sharp from 'sharp'
import { connect } from 'warrenmq'

const [name, user] = process.argv.slice(2)

/** A picture such as a camera makes: 1600 x 1200, as JPEG. */
const drawing = `<svg xmlns="http://www.w3.org/2000/svg" width="1600" height="1200">
  <rect width="1600" height="1200" fill="#7bd"/><circle cx="1200" cy="300" r="140" fill="#fd5"/>
  <path d="M0 900 L500 500 L900 900 L1200 700 L1600 1000 V1200 H0 Z" fill="#475"/>
</svg>`
const picture = await sharp(Buffer.from(drawing)).jpeg().toBuffer()

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const pictures = await mq.exchange('pictures', 'fanout', { durable: true })
const headers = { name, user }
await pictures.publish(picture, '', { contentType: 'image/jpeg', headers, persistent: true })
console.log(`${name} is here, thank you, ${user}`)
await mq.close()
