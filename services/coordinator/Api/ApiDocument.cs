using System.Globalization;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace SplitFrozen.Coordinator.Api;

/// <summary>Adds to the OpenAPI document which token a route needs, and how it is refused.</summary>
internal static class ApiDocument
{
    private const string SchemeId = "token";

    public static void Describe(OpenApiOptions options)
    {
        options.AddDocumentTransformer((document, _, _) =>
        {
            document.AddComponent(SchemeId, new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.Http,
                Scheme = "bearer",
                Description = "A token of 'splitfrozen token create'. Without configured tokens the coordinator asks nobody for one.",
            });
            return Task.CompletedTask;
        });
        options.AddOperationTransformer((operation, context, _) =>
        {
            var metadata = context.Description.ActionDescriptor.EndpointMetadata;
            operation.Responses ??= [];
            Refusal(StatusCodes.Status429TooManyRequests, "Too many requests, or too many streams; Retry-After says when to ask again.");
            if (metadata.OfType<IAllowAnonymous>().Any() || metadata.OfType<IAuthorizeData>().LastOrDefault()?.Policy is not { } role)
            {
                return Task.CompletedTask;
            }

            operation.Description = $"Needs the role '{role}'.";
            operation.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(SchemeId, context.Document)] = [] }];
            Refusal(StatusCodes.Status401Unauthorized, "No token, or one that is not known.");
            Refusal(StatusCodes.Status403Forbidden, "The token's role is too small.");
            return Task.CompletedTask;

            void Refusal(int status, string description) =>
                operation.Responses!.TryAdd(status.ToString(CultureInfo.InvariantCulture), new OpenApiResponse { Description = description });
        });
    }
}
