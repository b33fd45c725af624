// A mail server: `node mailbox.mjs PORT` takes mail by SMTP and shows it.
import { text } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'

const [port = '2525'] = process.argv.slice(2)
const server = new SMTPServer({
  disabledCommands: ['AUTH', 'STARTTLS'],
  async onData(stream, { envelope }, accepted) {
    const mail = (await text(stream)).replaceAll('\r\n', '\n')
    const [, subject] = /^Subject: (.*)$/m.exec(mail)
    const body = mail.slice(mail.indexOf('\n\n')).trim()
    const recipients = envelope.rcptTo.map(({ address }) => address)
    console.log(`for ${recipients.join(' and ')}: ${subject}: ${body}`)
    accepted()
  },
})
server.listen(Number(port), '127.0.0.1', () => console.log('ready'))
