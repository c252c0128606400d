export { addressOf, parseRedisUrl, type RedisTarget } from '@groupcast/service-kit';
