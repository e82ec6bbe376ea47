using System.Security.Claims;
using Microsoft.AspNetCore.Authorization;
using SplitFrozen.Contracts.Api;

namespace SplitFrozen.Coordinator.Access;

/// <summary>A policy for each role, and who a caller is.</summary>
internal static class Policies
{
    /// <summary>Adds a policy for each role. What has none is the administrator's.</summary>
    public static void Add(AuthorizationOptions options)
    {
        foreach (var role in Enum.GetValues<ApiRole>())
        {
            options.AddPolicy(Name(role), policy => policy.RequireRole(Name(role)));
        }

        options.FallbackPolicy = options.GetPolicy(Name(ApiRole.Admin));
    }

    /// <summary>The route is for this role and those above it.</summary>
    public static TBuilder Needs<TBuilder>(this TBuilder route, ApiRole role)
        where TBuilder : IEndpointConventionBuilder => route.RequireAuthorization(Name(role));

    /// <summary>The role that an endpoint needs; null where it has none of its own.</summary>
    public static ApiRole? RoleOf(Endpoint? endpoint) =>
        Enum.TryParse<ApiRole>(endpoint?.Metadata.GetMetadata<IAuthorizeData>()?.Policy, ignoreCase: true, out var role) ? role : null;

    /// <summary>Word for a role, which also names its policy.</summary>
    public static string Name(ApiRole role) => role.ToString().ToLowerInvariant();

    /// <summary>The holder of a role, who has those below it too.</summary>
    public static ClaimsPrincipal Principal(string name, ApiRole role, string scheme) => new(new ClaimsIdentity(
        [new(ClaimTypes.Name, name), .. Enum.GetValues<ApiRole>().Where(held => held <= role).Select(held => new Claim(ClaimTypes.Role, Name(held)))], scheme));

    /// <summary>The highest role of a caller; null where it has none.</summary>
    public static ApiRole? RoleOf(ClaimsPrincipal caller) => Enum.GetValues<ApiRole>().Where(role => caller.IsInRole(Name(role))).Select(role => (ApiRole?)role).LastOrDefault();
}
