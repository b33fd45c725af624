// A NestJS microservice without TypeScript: its decorators are functions.
import 'reflect-metadata'
import { Controller, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ClientProxyFactory, Ctx, EventPattern, MessagePattern, Payload, Transport } from '@nestjs/microservices'

export const socketOptions = { reconnectTimeInSeconds: 0.1 }

/** `onMessage('sum', handler)` answers requests, `onEvent('created', handler)` takes events: `handler(data, context)`. */
export const onMessage = (pattern, handler) => ({ decorator: MessagePattern(pattern), handler })
export const onEvent = (pattern, handler) => ({ decorator: EventPattern(pattern), handler })

/** A running microservice with these handlers; `options` are those of the RMQ transport. */
export async function serve(options, ...handlers) {
  class Handlers {}
  for (const [index, { decorator, handler }] of handlers.entries()) {
    const descriptor = { value: handler, writable: true, configurable: true }
    Object.defineProperty(Handlers.prototype, `handler${index}`, descriptor)
    decorator(Handlers.prototype, `handler${index}`, descriptor)
    Payload()(Handlers.prototype, `handler${index}`, 0)
    Ctx()(Handlers.prototype, `handler${index}`, 1)
  }
  Controller()(Handlers)
  class App {}
  Module({ controllers: [Handlers] })(App)
  const app = await NestFactory.createMicroservice(App, {
    transport: Transport.RMQ,
    options: { socketOptions, ...options },
    logger: false,
  })
  await app.listen()
  return app
}

export async function client(options) {
  const proxy = ClientProxyFactory.create({ transport: Transport.RMQ, options: { socketOptions, ...options } })
  await proxy.connect()
  return proxy
}
