/** `tenant-purge/prevention`: what a host application imports. See docs/prevention.md. */

export type { CaptchaSettings } from './captcha.ts';
export { CAPTCHA_PROVIDERS, type CaptchaProviderName } from './captcha-providers.ts';
export type { Fetch, Log, Query, RedisClient } from './clients.ts';
export type { AllowList, DetailSettings } from './details.ts';
export { ADMIT_SETTING, type CreatedTenant, PreventionGuard } from './guard.ts';
export {
  guardTenantCreation,
  type HttpRequest,
  type HttpResponse,
  type MiddlewareOptions,
  REFUSAL,
} from './middleware.ts';
export type { LimitOptions, PreventionOptions } from './options.ts';
export type { OverrideSettings } from './override-token.ts';
export { LOG_TABLE } from './prevention-log.ts';
export { REASON_CODES, type Reason, type ReasonCode } from './reason.ts';
export type { TenantCreationRequest } from './request.ts';
export type { Verdict } from './verdict.ts';
